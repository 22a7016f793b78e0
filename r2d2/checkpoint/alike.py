"""Checks, before any of it is used, that a loaded state is one that this run could have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from r2d2.checkpoint.manifest import CheckpointError


@contextmanager
def restoring(folder: Path) -> Iterator[None]:
    """Context that turns errors about a state into a CheckpointError with the checkpoint and the remedy."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except KeyError as error:
        raise CheckpointError(_message(folder, f"{error.args[0]} is missing")) from error
    except Exception as error:  # a foreign state may raise anything
        raise CheckpointError(_message(folder, str(error))) from error


def _message(folder: Path, why: str) -> str:
    return f"{folder} is not a checkpoint of this run: {why}. Take another one with --checkpoint, or a backup"


def check_alike(found: Any, like: Any, path: str) -> None:
    """Raise ValueError, with the field's path, unless `found` has the fields, types, dtypes and shapes of `like`.

    For lists and empty dicts, whose lengths vary, only the type is compared. Integers are counts, which are not
    negative.
    """
    if isinstance(like, Mapping):
        _check_type(found, Mapping, path)
        for name, value in like.items():
            field = f"{path}/{name}" if path else str(name)
            if name not in found:
                raise ValueError(f"{field} is missing")
            check_alike(found[name], value, field)
    elif hasattr(like, "dtype") and hasattr(like, "shape"):
        if not (hasattr(found, "dtype") and hasattr(found, "shape")):
            raise ValueError(f"{path} must be {like.dtype} {list(like.shape)}, got {type(found).__name__}")
        if (found.dtype, tuple(found.shape)) != (like.dtype, tuple(like.shape)):
            raise ValueError(
                f"{path} must be {like.dtype} {list(like.shape)}, got {found.dtype} {list(found.shape)}"
            )
    elif isinstance(like, bool) or like is None:
        _check_type(found, type(like), path)
    elif isinstance(like, int):
        _check_type(found, int | np.integer, path)
        if isinstance(found, bool) or found < 0:
            raise ValueError(f"{path} must be a count, got {found!r}")
    elif isinstance(like, float):
        _check_type(found, int | float | np.number, path)
    else:
        _check_type(found, type(like), path)


def check_numbers(found: Any, path: str) -> None:
    """Raise ValueError unless `found` maps names to numbers."""
    _check_type(found, Mapping, path)
    for name, value in found.items():
        _check_type(name, str, path)
        _check_type(value, int | float, f"{path}/{name}")


def _check_type(found: Any, kind: Any, path: str) -> None:
    if not isinstance(found, kind):
        name = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{path} must be {name}, got {type(found).__name__}")
