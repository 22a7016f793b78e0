"""Saved: the state of a part as it is read back, one checked field at a time.

A part looks at its whole state with `check_state` before `load_state_dict` changes anything, so a state of a
replay of another size, or one that somebody has written by hand, is refused and the replay stays as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs
from r2d2.replay.checks import check_count, check_number

MOST_PLACES = 2**31  # they are kept in 32 bits

_ALIKE = "the state must be that of a replay built alike"


class Saved:
    """The fields of one state; every method raises ValueError with the field's path where it is not as asked."""

    def __init__(self, state: Any, path: str) -> None:
        if not isinstance(state, Mapping):
            raise ValueError(f"{path} must be a mapping of fields, got {type(state).__name__}: {_ALIKE}")
        self._state, self._path = state, path

    def path(self, name: str) -> str:
        return f"{self._path}.{name}"

    def __contains__(self, name: str) -> bool:
        return name in self._state

    def __getitem__(self, name: str) -> Any:
        if name not in self._state:
            raise ValueError(f"{self.path(name)} is missing: {_ALIKE}")
        return self._state[name]

    def exactly(self, names: Collection[str]) -> None:
        """No other fields than these."""
        other = [name for name in self._state if name not in names]
        if other:
            raise ValueError(f"{self._path} must have the fields {sorted(names)}, got {other[0]!r}: {_ALIKE}")

    def part(self, name: str) -> Saved:
        """A mapping of fields."""
        return Saved(self[name], self.path(name))

    def parts(self, name: str, count: int) -> list[Saved]:
        """So many mappings of fields."""
        found = self[name]
        if not isinstance(found, Sequence) or len(found) != count:
            raise ValueError(f"{self.path(name)} must be a list of {count}: {_ALIKE}")
        return [Saved(each, f"{self.path(name)}[{i}]") for i, each in enumerate(found)]

    def array(
        self,
        name: str,
        dtype: Any,
        shape: tuple[int | None, ...],
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> NDArray:
        """An array of exactly this dtype and shape (None is any length), with values in [low, high]."""
        return self._check(self.path(name), self[name], dtype, shape, low, high)

    def arrays(self, name: str, like: Sequence[tuple[Any, tuple[int | None, ...]]]) -> list[NDArray]:
        """A list of arrays of these dtypes and shapes."""
        found = self[name]
        if not isinstance(found, Sequence) or len(found) != len(like):
            raise ValueError(f"{self.path(name)} must be a list of {len(like)}: {_ALIKE}")
        return [
            self._check(f"{self.path(name)}[{i}]", array, dtype, shape, None, None)
            for i, (array, (dtype, shape)) in enumerate(zip(found, like, strict=True))
        ]

    def _check(
        self,
        path: str,
        array: Any,
        dtype: Any,
        shape: tuple[int | None, ...],
        low: float | None,
        high: float | None,
    ) -> NDArray:
        dtype = np.dtype(dtype)
        wanted = f"{dtype} [{', '.join('any' if n is None else str(n) for n in shape)}]"
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path} must be {wanted}, got {type(array).__name__}: {_ALIKE}")
        alike = array.ndim == len(shape) and all(
            n is None or n == got for n, got in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not alike:
            got = f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"{path} must be {wanted}, got {got}: {_ALIKE}")
        if array.size and (low is not None or high is not None):
            # Written so that NaN is outside of any bounds.
            bad = ~(
                (array >= (-np.inf if low is None else low)) & (array <= (np.inf if high is None else high))
            )
            if bad.any():
                raise ValueError(f"{path} must be in [{low}, {high}], got {array[bad][0]}: {_ALIKE}")
        return array

    def places(self, name: str, capacity: int, length: int | None = None) -> NDArray[np.int64]:
        """Different places [K] below `capacity`."""
        return self.different(name, np.int64, length, capacity)

    def held(self, name: str, items: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Different places [K]: those of the `items`, if they are given."""
        found = self.places(name, MOST_PLACES)
        if items is not None and not np.array_equal(np.sort(found), np.sort(items)):
            raise self.refuse(name, "must be the places of the items")
        return found

    def different(self, name: str, dtype: Any, length: int | None, end: int) -> NDArray:
        """Different integers [K] in [0, end)."""
        found = self.array(name, dtype, (length,), low=0, high=end - 1)
        if len(np.unique(found)) != len(found):
            raise ValueError(f"{self.path(name)} must be all different: {_ALIKE}")
        return found

    def count(self, name: str, *, most: int = 2**63 - 1, least: int = 0) -> int:
        """An integer in [least, most]."""
        return check_count(self.path(name), self[name], least=least, most=most)

    def listed(self, name: str) -> list[Any]:
        """A list."""
        if not isinstance(self[name], list):
            raise ValueError(f"{self.path(name)} must be a list, got {type(self[name]).__name__}: {_ALIKE}")
        return list(self[name])

    def counts(self, name: str, *, unknown: bool = False) -> list[Any]:
        """A list of integers that are not negative; of None, too, where some are `unknown`."""
        found = self.listed(name)
        for i, n in enumerate(found):
            if not (unknown and n is None):
                check_count(f"{self.path(name)}[{i}]", n, least=0)
        return found

    def number(self, name: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        return check_number(self.path(name), self[name], low, high)

    def flag(self, name: str) -> bool:
        """True or False."""
        if not isinstance(self[name], bool | np.bool_):
            raise ValueError(f"{self.path(name)} must be True or False, got {self[name]!r}: {_ALIKE}")
        return bool(self[name])

    def generator(self, name: str, rng: np.random.Generator) -> Any:
        """The state of a generator like `rng`, which is not changed."""
        try:
            copy.deepcopy(rng.bit_generator).state = self[name]
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError(
                f"{self.path(name)} must be the state of a {type(rng.bit_generator).__name__} ({error}): {_ALIKE}"
            ) from None
        return self[name]

    def blobs(self, name: str, count: int, size: int | None = None) -> Blobs:
        """So many blobs, each of `size` bytes."""
        found = self[name]
        if not isinstance(found, Blobs) or len(found) != count:
            got = f"{len(found)}" if isinstance(found, Blobs) else type(found).__name__
            raise ValueError(f"{self.path(name)} must be {count} blobs, got {got}: {_ALIKE}")
        if size is not None:
            looked_at = found.data if isinstance(found.data, list) else found.data[:1]
            for blob in looked_at:
                if len(blob) != size:
                    raise ValueError(
                        f"{self.path(name)} must be blobs of {size} bytes, got {len(blob)}: {_ALIKE}"
                    )
        return found

    def refuse(self, name: str, reason: str) -> ValueError:
        """What to raise for a field that contradicts others."""
        return ValueError(f"{self.path(name)} {reason}: {_ALIKE}")
