"""Checks of arguments by the parts of a replay, before they change anything."""

from __future__ import annotations

import math
import operator
from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels.calls import HIGHEST
from r2d2.replay.kernels.finite import finite
from r2d2.types import Column

Ints = NDArray[np.int64]

_BOOL, _FLOAT32 = np.dtype(np.bool_), np.dtype(np.float32)
_INT64, _FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)


def check_count(
    name: str, value: Any, unit: str = "", *, least: int = 1, most: int | None = None, units: str = ""
) -> int:
    """An integer within its bounds, as an int; `unit` and `units` are those of the bounds."""
    if type(value) is int and value >= least and (most is None or value <= most):
        return value
    try:
        count = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        count = None
    if count is None:
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if count < least:
        raise ValueError(f"{name} must be at least {least}{unit and ' '}{unit}, got {value}")
    if most is not None and count > most:
        raise ValueError(f"{name} must be at most {most}{units and ' '}{units}, got {value}")
    return count


def check_number(name: str, value: Any, low: float, high: float = math.inf, says: str = "") -> float:
    """A finite number in [low, high], as a float; `says` explains the bounds."""
    if type(value) is float and low <= value <= high and value != math.inf:
        return value
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (low <= number <= high and math.isfinite(number)):
        bound = f"finite and >= {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be {bound}{says and f' ({says})'}, got {value!r}")
    return number


def check_alpha(alpha: Any, one: str) -> float:
    """An exponent of priorities; `one` says what 1 means."""
    return check_number("alpha", alpha, 0.0, 1.0, f"0 is uniform, 1 {one}")


def check_beta(beta: Any) -> float:
    """The exponent of the importance weights."""
    return check_number("beta", beta, 0.0, 1.0, "0 turns the weights off")


def check_rng(rng: Any) -> np.random.Generator:
    """A generator of random numbers, or what acts like one."""
    if type(rng) is not np.random.Generator and not callable(getattr(rng, "integers", None)):
        raise ValueError(
            f"rng must be a numpy.random.Generator (numpy.random.default_rng(seed)), got {rng!r}"
        )
    return rng


def as_array(name: str, value: Any) -> NDArray:
    """Whatever numpy can read (an array, a list, a tensor in the CPU's memory) as an array of numbers."""
    if isinstance(value, np.ndarray):
        array = value
    else:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{name} must be an array that numpy can read, got {type(value).__name__} ({error}): pass a tensor "
                "as tensor.detach().cpu().numpy()"
            ) from None
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name} must be an array of numbers, got {type(value).__name__} of {array.dtype}")
    return array


def check_ids(name: str, ids: Any) -> Ints:
    """Ids or streams [K] as int64."""
    array = as_array(name, ids)
    if array.ndim != 1:
        raise ValueError(f"{name} must be integers [K], got shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers [K], got {array.dtype}")
    return plain(array.astype(np.int64, copy=False))


def check_streams(chosen: Any, streams: int) -> Ints:
    """The streams of one write [K] as int64: within [0, streams), each at most once."""
    chosen = check_ids("streams", chosen)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= streams):
        raise ValueError(f"streams must be in [0, {streams}), got {chosen}")
    if len(np.unique(chosen)) != len(chosen):
        raise ValueError(f"streams must all be different within one write, got {chosen}")
    return chosen


def plain(array: NDArray) -> NDArray:
    """An array as the compiled loops take it; they would be compiled again for another layout."""
    return array if type(array) is np.ndarray and array.flags.carray else np.array(array, order="C")


def check_last(last: Any, streams: int) -> NDArray[np.bool_]:
    """Which rows [K] end an episode."""
    if type(last) is np.ndarray and last.dtype is _BOOL and last.shape == (streams,):
        return plain(last)
    array = as_array("last", last)
    if array.shape != (streams,) or (array.size and array.dtype != np.bool_):
        raise ValueError(f"last must be bool [{streams}], got {array.dtype} {array.shape}")
    return plain(array.astype(np.bool_, copy=False))


def check_rows(
    columns: Mapping[str, Column], values: Mapping[str, Any], streams: Ints, later: Container[str] = ()
) -> Mapping[str, NDArray]:
    """Rows [K, ...] of these streams [K] as arrays; ValueError if they would not be stored as they are. Whether
    floats of the right type are finite is not looked at in the columns `later`."""
    if (type(values) is not dict and not isinstance(values, Mapping)) or values.keys() != columns.keys():
        got = sorted(values) if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"values must have the columns {sorted(columns)}, got {got}")
    converted: dict[str, NDArray] = {}
    for name, column in columns.items():
        new, dtype = values[name], column.numpy_dtype
        if type(new) is not np.ndarray:
            new = converted[name] = _from_numbers(name, new, column)
        alike = new.dtype is dtype and new.shape[1:] == column.shape and len(new) == len(streams)
        if alike and name in later:
            continue
        if alike and dtype.char in "fd":  # the common ones, and the fast way to look at them
            alike = finite(new.reshape(-1))
        elif alike and dtype.kind in "fc":
            alike = np.isfinite(new).all()
        if not alike:
            column.check(name, new, streams)  # which says what is wrong, if anything
    return {**values, **converted} if converted else values


def _from_numbers(name: str, values: Any, column: Column) -> NDArray:
    """Plain Python numbers have no width of their own: integers are taken for any that they fit into."""
    array = as_array(name, values)
    plain = not hasattr(values, "dtype") and array.dtype.kind in "iu" and column.numpy_dtype.kind in "iu"
    if plain and array.size:
        limits = np.iinfo(column.numpy_dtype)
        if limits.min <= array.min() and array.max() <= limits.max:
            return array.astype(column.numpy_dtype)
    return array if array.size else array.astype(column.numpy_dtype)


def check_core(core: Any, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Recurrent states [K, C] as float32; whether they are finite the sequencer looks at."""
    if type(core) is np.ndarray and core.dtype is _FLOAT32 and core.shape == shape:
        return plain(core)
    array = as_array("core", core)
    if array.shape != shape:
        raise ValueError(f"core must have shape {shape}, got {array.shape}")
    if array.dtype != np.float32:
        if hasattr(core, "dtype") or array.dtype.kind not in "iuf":
            raise ValueError(f"core must be float32, got {array.dtype}: convert it first")
        with np.errstate(over="ignore"):
            converted = array.astype(np.float32)
        if np.isfinite(array).all() and not np.isfinite(converted).all():
            raise ValueError(f"core must be within float32, got {np.abs(array).max()}")
        return converted
    return plain(array)


def check_draw(n: Any, items: int, rng: Any, beta: Any) -> tuple[int, float]:
    """n and beta of a draw from a replay of `items` items, checked."""
    n = check_count("n", n, "item")
    check_rng(rng)
    beta = check_beta(beta)
    if items == 0:
        raise ValueError("the replay holds no finished item yet: write more steps before sampling")
    return n, beta


def check_names(names: Any, columns: Mapping[str, Column]) -> list[str]:
    """Names of columns; None is all of them."""
    if names is None:
        return list(columns)
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in columns]
    if isinstance(names, str) or unknown:
        raise ValueError(f"names must be a list of columns out of {sorted(columns)}, got {names!r}")
    return wanted


def as_priorities(ids: Any, priorities: Any) -> tuple[Ints, NDArray[np.float64]]:
    """Ids and priorities [K] as int64 and float64, as many, whatever their values."""
    if (
        type(ids) is np.ndarray
        and type(priorities) is np.ndarray
        and ids.dtype is _INT64
        and priorities.dtype is _FLOAT64
        and ids.ndim == 1
        and ids.shape == priorities.shape
    ):
        return plain(ids), plain(priorities)
    ids = check_ids("ids", ids)
    array = as_array("priorities", priorities)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"priorities must be real numbers, got {array.dtype}")
    priorities = array.astype(np.float64, copy=False)
    if ids.shape != priorities.shape:
        raise ValueError(f"ids and priorities must be [K] alike, got {ids.shape} and {priorities.shape}")
    return plain(ids), plain(priorities)


def check_priorities(ids: Any, priorities: Any) -> tuple[Ints, NDArray[np.float64]]:
    """Ids and priorities [K] as int64 and float64: as many, finite and not negative."""
    ids, priorities = as_priorities(ids, priorities)
    fine = (priorities >= 0) & (priorities <= HIGHEST)  # false for NaN as well
    if not fine.all():
        raise ValueError(
            f"priorities must be finite and >= 0, got {priorities[~fine][0]} for item {int(ids[~fine][0])}: "
            f"look for NaN in the loss (at most {HIGHEST:g} is taken); no priority was changed"
        )
    return ids, priorities
