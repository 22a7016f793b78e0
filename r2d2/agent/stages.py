"""Stages: the names under which a profiler, as that of `r2d2 bench`, shows the parts of an update."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.autograd.profiler import record_function

NOTHING = nullcontext()


def stage(name: str) -> AbstractContextManager[Any]:
    """`record_function` where a profiler is at work. It costs 9 us even where none is, which many small ones, as of
    an acting step, would feel."""
    return record_function(name) if torch.autograd._profiler_enabled() else NOTHING
