"""What the tests of trees and checkpoints share."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from r2d2.checkpoint.blobs import Blobs

SOURCE = Path(__file__).resolve().parents[1]


def blobs(keys: range, salt: int = 0, size: int = 100) -> Blobs:
    data = [np.random.default_rng([salt, k]).bytes(size + k % 7) for k in keys]
    return Blobs(np.arange(keys.start, keys.stop, dtype=np.int64), data)


def same(a: Any, b: Any) -> bool:
    """Equal in type, dtype and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        pairs = zip(a.items(), b.items(), strict=True)
        return len(a) == len(b) and all(same(k, q) and same(v, w) for (k, v), (q, w) in pairs)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray | np.generic):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, torch.Tensor):
        equal = a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride()
        return equal and same(
            a.reshape(-1).view(torch.uint8).numpy(), b.reshape(-1).view(torch.uint8).numpy()
        )
    if isinstance(a, Blobs):
        return same(a.keys, b.keys) and [bytes(x) for x in a.data] == [bytes(x) for x in b.data]
    if isinstance(a, float):
        return a.hex() == b.hex() and math.copysign(1, a) == math.copysign(1, b)
    return bool(a == b)


def flip(path: Path, position: int = -9) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def run_python(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=SOURCE, check=True, timeout=60)


STATE = {"a": np.arange(300), "blobs": blobs(range(10)), "text": "hello"}


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields: dicts and lists too, with one element of each long list."""
    if path:
        yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list) and tree:
        yield from leaves(tree[0], (*path, 0))


def wrong(value: Any) -> Iterator[Any]:
    """What no run has in its place."""
    yield "a word" if not isinstance(value, str) else 7
    yield object if value is None else None
    if isinstance(value, np.ndarray | torch.Tensor):
        yield value[None]
        if value.size:
            yield value[..., :0] if value.ndim else value.reshape(1)
    elif isinstance(value, int | np.integer) and not isinstance(value, bool):
        yield -1
    elif isinstance(value, Blobs):
        yield Blobs(value.keys[:0], [])
    elif isinstance(value, dict | list):
        yield [] if isinstance(value, dict) else {}


def changed(tree: dict[str, Any], path: tuple[Any, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Trees in which the field is missing or something else."""
    *above, last = path

    def place(copied: Any) -> Any:
        for key in above:
            copied = copied[key]
        return copied

    for value in ("deleted", *wrong(place(tree)[last])):
        other = copy.copy(tree)
        inner: Any = other
        for key in above:  # copies along the path alone
            inner[key] = copy.copy(inner[key])
            inner = inner[key]
        if isinstance(value, str) and value == "deleted":
            del inner[last]
        else:
            inner[last] = value
        yield repr(value)[:40], other
