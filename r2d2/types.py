"""The vocabulary of the data: columns, items and batches, and how their rows line up.

One row of a stream is one agent decision::

    observation[t] -> action[t] -> reward[t], terminated[t], truncated[t] -> observation[t + 1]

An episode of L actions occupies L + 1 consecutive rows of its stream; the last row holds only the
final observation (its action and reward are zero and are never trained). A time limit therefore
bootstraps from the true final observation, and nothing is ever read across an episode boundary.

One item is a window of such rows. Read into a batch it is laid out batch-major, because blocks decode
straight into it; row ``r`` of a column is step ``r - burn_in`` of the trained part::

    [ context | burn_in          | unroll                  | n_step    ]
      stack-1   right-aligned      length valid, then        lookahead valid, then
                (the last          padding                   padding
                burn_in[b] rows)

Rows before the episode's first repeat the first row, rows after the item's last repeat the last row.
Both are masked by ``burn_in``, ``length`` and ``lookahead`` and never reach a loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Codec = Literal["raw", "lz4", "zstd"]
ObservationKind = Literal["frames", "grid", "vector"]

OBSERVATION = "observation"  # the column of an environment with one kind of observation
FROZEN = "frozen_features"  # the column of `agent.frozen`, where `network.context` is frozen


@dataclass(frozen=True)
class Column:
    """The description of one named array of steps.

    `context` is the number of earlier rows of the same episode that are read along with an item: 3 for
    a stack of 4 frames, so that each frame is stored once and the stack is built when it is read.

    `skipped` is the number of burn-in rows that are not read with an item, the same in all items: a column whose
    burn-in rows nobody needs has `skipped` = burn_in. In a batch it then begins `context` rows before the first
    trained one.
    """

    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    codec: Codec = "raw"
    context: int = 0
    skipped: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for invalid fields."""
        sizes = isinstance(self.shape, tuple) and all(
            isinstance(n, int | np.integer) and n > 0 for n in self.shape
        )
        if not sizes:
            raise ValueError(f"shape must be a tuple of sizes of at least 1, got {self.shape!r}")
        try:
            kind = np.dtype(self.dtype).kind
        except TypeError:
            kind = "O"
        if kind not in tuple("biufc"):
            raise ValueError(f"dtype must be one of numbers, such as uint8 or float32, got {self.dtype!r}")
        if self.codec not in get_args(Codec):
            raise ValueError(f"codec must be one of {', '.join(get_args(Codec))}, got {self.codec!r}")
        for name in ("context", "skipped"):
            rows = getattr(self, name)
            if not isinstance(rows, int | np.integer) or rows < 0:
                raise ValueError(f"{name} must be an integer of at least 0 rows, got {rows!r}")

    @cached_property
    def numpy_dtype(self) -> np.dtype:
        """`dtype` as numpy has it."""
        return np.dtype(self.dtype)

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one uncompressed step."""
        return math.prod(self.shape) * self.numpy_dtype.itemsize

    def check(self, name: str, values: NDArray, streams: NDArray[np.int64]) -> None:
        """Raise ValueError if values [K, ...] of these streams [K] could not be stored exactly."""
        if values.shape != (len(streams), *self.shape):
            raise ValueError(f"{name} must have shape {(len(streams), *self.shape)}, got {values.shape}")
        if not np.can_cast(values.dtype, self.dtype, "same_kind"):
            raise ValueError(f"{name} must be {self.dtype}, got {values.dtype}: convert it first")
        kind = values.dtype.kind
        if kind == "b" or (kind in "iu" and values.dtype == self.numpy_dtype):
            return
        limits = np.iinfo(self.dtype) if self.numpy_dtype.kind in "iu" else np.finfo(self.dtype)
        parts = [values.real, values.imag] if kind == "c" else [values]
        # False for NaN and infinity too.
        fits = np.logical_and.reduce([(part >= limits.min) & (part <= limits.max) for part in parts])
        if not fits.all():
            bad = ~fits.reshape(len(values), -1).all(1)
            raise ValueError(
                f"{name} must be finite and within {self.dtype}, got {values[~fits][0]} in stream(s) "
                f"{streams[bad]}: nothing was stored"
            )


class SequenceLayout(NamedTuple):
    """How streams are cut into items, and how an item's rows lie in a batch (see the module's picture); steps.

    The trained parts of an episode's items begin `period` steps apart. `context` is the number of earlier rows
    that are read along for frame stacks.
    """

    burn_in: int
    unroll: int
    n_step: int
    period: int
    context: int = 0


@dataclass(frozen=True)
class Items:
    """Finished items that the sequencer passes to the replay; all arrays are [K].

    `row` is the stream row of the first row that the item needs, context included.
    """

    stream: NDArray[np.int64]
    row: NDArray[np.int64]
    context: NDArray[np.int64]
    burn_in: NDArray[np.int64]
    length: NDArray[np.int64]
    lookahead: NDArray[np.int64]
    number: NDArray[np.int64]  # in its episode, from 0
    core: NDArray[np.float32]  # [K, C] recurrent state before the item's first observation

    def __len__(self) -> int:
        return len(self.stream)


@dataclass(frozen=True)
class Batch:
    """B replayed items; see the module's picture for the rows.

    `core` [B, C] is the recurrent state before the first of the `burn_in[b]` warm-up rows (or before the
    first trained row where that is 0). `weight` is the importance weight, largest 1.
    """

    columns: Mapping[str, NDArray]  # [B, context + burn_in + unroll + n_step, ...], less the rows `skipped`
    core: NDArray[np.float32]  # [B, C]
    burn_in: NDArray[np.int64]  # [B]
    length: NDArray[np.int64]  # [B] trained steps, 1..unroll
    lookahead: NDArray[np.int64]  # [B] rows after the last trained one, 1..n_step
    ids: NDArray[np.int64]  # [B]
    probability: NDArray[np.float64]  # [B]
    weight: NDArray[np.float32]  # [B]
    records: NDArray | None = None  # the array into which small columns are views

    def trimmed(self, unroll: int, longest: int) -> Batch:
        """Views without the rows beyond `longest` trained steps, which are padding; there is room for `unroll`."""
        spare = unroll - longest
        if spare == 0:
            return self
        columns = {name: rows[:, :-spare] for name, rows in self.columns.items()}
        return replace(self, columns=columns, records=None)

    def items(self, places: NDArray[np.int64]) -> Batch:
        """The items in these places of the batch."""
        arrays = {name: getattr(self, name)[places] for name in _OF_ITEMS}
        columns = {name: rows[places] for name, rows in self.columns.items()}
        return Batch(columns, **arrays)

    @property
    def steps(self) -> int:
        """Trained steps in this batch, padding left out: what the replay ratio counts."""
        return int(self.length.sum())


_OF_ITEMS = tuple(field.name for field in fields(Batch) if field.name not in ("columns", "records"))


@dataclass(frozen=True)
class Rows:
    """One row of several streams, which an actor writes to the replay.

    `last` marks rows that hold only the final observation of an episode.
    """

    values: Mapping[str, NDArray]  # [K, ...]
    last: NDArray[np.bool_]  # [K]
    core: NDArray[np.float32]  # [K, C] recurrent state before the observation
    streams: NDArray[np.int64]  # [K], all different


@dataclass(frozen=True)
class ObservationSpec:
    """One column of observations, as the environment returns it and replay stores it.

    `frames`, and a `grid` of few cells, are [H, W] or [H, W, C]; anything else is a `vector`. The network does not
    see the last `hidden` numbers of a vector, which replay keeps to compute rewards of other goals. `low` and
    `high` are the bounds for scaling it to [0, 1]: one each for frames and grids, one per number for vectors
    (infinite where there is none); without them, bytes range from 0 to 255 and floats are not scaled.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    kind: ObservationKind = "vector"
    hidden: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def compressible(self) -> bool:
        """Whether its blocks become much smaller; floats do not."""
        return self.kind != "vector" and self.dtype == "uint8"

    def input_shape(self, stack: int) -> tuple[int, ...]:
        """The shape of one network input, of `stack` rows.

        >>> ObservationSpec((84, 84), "uint8", "frames").input_shape(4)
        (4, 84, 84)
        """
        if self.kind != "vector":
            height, width, *colors = self.shape
            return (stack * math.prod(colors), height, width)
        return (stack * math.prod(self.shape),)


def observation_columns(observation: NDArray | Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The columns that hold an observation: those of a mapping, or one for an array.

    >>> list(observation_columns(np.zeros((2, 8, 8))))
    ['observation']
    """
    return dict(observation) if isinstance(observation, Mapping) else {OBSERVATION: observation}


def as_previous(action: NDArray) -> NDArray:
    """The `previous_action` of the steps after these actions [K] or [K, A]; only 0 means "none".

    >>> as_previous(np.array([0, 2])).tolist(), as_previous(np.array([[0.5, -1.0]])).tolist()
    ([1, 3], [[1.0, 0.5, -1.0]])
    """
    if action.ndim == 1:
        return (action + 1).astype(np.int32)
    return np.concatenate([np.ones_like(action[:, :1]), action], -1).astype(np.float32)


def no_previous(count: int, action_size: int) -> NDArray:
    """The `previous_action` of `count` first steps of episodes."""
    return np.zeros((count, 1 + action_size), np.float32) if action_size else np.zeros(count, np.int32)


def begins_episode(previous_action: NDArray) -> NDArray[np.bool_]:
    """Which of the steps with these `previous_action` [K] or [K, 1 + A] are the first of an episode."""
    first: NDArray[np.bool_] = previous_action.reshape(len(previous_action), -1)[:, 0] == 0
    return first


def step_columns(
    observations: Mapping[str, ObservationSpec],
    *,
    codec: Codec,
    stack: int,
    action_size: int = 0,
    log_probability: bool = False,
    frozen_features: int = 0,
    burn_in: int = 0,
) -> dict[str, Column]:
    """The columns that our actor writes and our learner reads; `codec` is for frames and grids of bytes.

    Actions count from 0, or are vectors of `action_size` numbers from -1 to 1. `previous_action` is action + 1 of
    the step before, or a 1 and then that action, and 0 at the start of an episode (`as_previous`). `q_taken` is the
    actor's own Q(s, a), and `q_greedy` what it would bootstrap from: max Q, or the value of its policy. Initial
    priorities are computed from both. `log_probability` is that with which the action was chosen, if asked for.
    With `frozen_features` there are so many numbers of `agent.frozen`, and no observations of the `burn_in` are
    read.
    """
    skipped = burn_in if frozen_features else 0
    action = Column((action_size,)) if action_size else Column((), "int32")
    previous = Column((1 + action_size,)) if action_size else Column((), "int32")
    columns = {
        name: Column(spec.shape, spec.dtype, codec if spec.compressible else "raw", stack - 1, skipped)
        for name, spec in observations.items()
    }
    return columns | {
        "previous_action": previous,
        "previous_reward": Column((), "float32"),
        "action": action,
        "reward": Column((), "float32"),
        "terminated": Column((), "bool"),
        "truncated": Column((), "bool"),
        "q_taken": Column((), "float32"),
        "q_greedy": Column((), "float32"),
        **({"log_probability": Column()} if log_probability else {}),
        **({FROZEN: Column((frozen_features,), "float16")} if frozen_features else {}),
    }
