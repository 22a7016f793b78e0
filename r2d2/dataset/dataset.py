"""Datasets: writes the steps of a replay to files, and reads them into another replay.

    for episode in read("pong-demonstrations"):
        episode["observation"]  # [L + 1, 84, 84]

A dataset holds steps, not items, so its reader can cut, stack and burn in as needed. It has no core states: they
belong to one network and one way of cutting. It has no priorities either: the recorded Q values, from which the
priorities of new items are computed, are columns like the others.
"""

from __future__ import annotations

import json
import shlex
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.dataset.files import Dataset, DatasetError, Episode, Source, open_dataset, write_dataset
from r2d2.replay import Replay
from r2d2.replay.episodes import Episodes, read_episode, stored_episodes
from r2d2.types import FROZEN, Column, begins_episode

__all__ = [
    "Dataset",
    "DatasetError",
    "Source",
    "Spec",
    "export",
    "fill",
    "open_dataset",
    "read",
    "write_dataset",
]

VALUES = ("q_taken", "q_greedy")  # from which initial priorities are computed
OPTIONAL = (*VALUES, "log_probability")  # columns that only our actor records; otherwise zeros
CORE_STATE = "core_state"  # a column that other programs may add: the recurrent state [C] before each row
PROTOCOL = (
    "protocol",
    "life_loss",
    "options",
)  # fields of the environment that define how it is played, not the task
AT_ONCE = 256 << 20  # bytes of episodes that `fill` holds; ours: small compared to any replay of frames

# The recurrent states [K, C] before K rows, from their columns [K, ...], which of them begin an episode [K],
# and their streams [K].
CoreStates = Callable[[Mapping[str, NDArray], NDArray[np.bool_], NDArray[np.int64]], NDArray[np.float32]]
FrozenFeatures = Callable[[Mapping[str, NDArray], NDArray[np.bool_], NDArray[np.int64]], NDArray[np.float16]]


@dataclass(frozen=True)
class Spec:
    """What steps must have in common to be used in one training."""

    env: dict[str, Any]  # id, protocol, life_loss, options, as in `EnvConfig`
    num_actions: int
    columns: dict[str, dict[str, Any]]  # name -> shape, dtype of one step

    @staticmethod
    def of(env: Mapping[str, Any], num_actions: int, columns: Mapping[str, Column]) -> Spec:
        """The spec of a replay's columns; of `env` only the task and its protocol are kept.

        Frozen features belong to one network: they are not written, and computed anew when steps are read.
        """
        named = {name: env[name] for name in ("id", *PROTOCOL)}
        forms = {
            name: {"shape": list(c.shape), "dtype": np.dtype(c.dtype).name}
            for name, c in columns.items()
            if name != FROZEN
        }
        return Spec(named, num_actions, forms)

    @property
    def head(self) -> dict[str, Any]:
        """These fields as in dataset.json."""
        return asdict(self)

    def check_takes(self, dataset: Source, *, other_protocol: bool = False, flag: str = "") -> None:
        """Raise ValueError naming the first field in which the dataset differs.

        `other_protocol` accepts another protocol, treatment of lost lives or environment options. Columns that are
        not needed are ignored; the recorded Q values may be missing. `flag` is the option that named the
        dataset, if not that of an import.
        """
        head, where = dataset.head, f"{flag} {dataset.path}".strip()
        verb = "train" if flag else "import it"
        for name in ("id",) if other_protocol else ("id", *PROTOCOL):
            wanted, got = self.env[name], head["env"].get(name)
            if wanted != got:
                remedy = f"{verb} with {_option(name, got)}"
                if name != "id" and not flag:
                    remedy += ", or with --other-protocol if these steps may be mixed"
                raise ValueError(f"env.{name} must be {wanted!r}, got {got!r} in {where}: {remedy}")
        if self.num_actions != head["num_actions"]:
            raise ValueError(
                f"num_actions must be {self.num_actions}, got {head['num_actions']} in {where}: its actions "
                "mean something else; use the release of the environment that it was recorded with"
            )
        for name, form in self.columns.items():
            self._check_column(name, form, head["columns"].get(name), where, verb)

    def _check_column(
        self, name: str, wanted: dict[str, Any], got: dict[str, Any] | None, where: str, verb: str
    ) -> None:
        if got is None:
            if name in OPTIONAL:
                return
            raise ValueError(
                f"column {name} must be {wanted['dtype']} {wanted['shape']}, but {where} has none: it has "
                "other columns than a replay of r2d2; record it and write the dataset again"
            )
        for field in ("shape", "dtype"):
            if wanted[field] != got[field]:
                frames = name == "observation" and field == "shape" and got["dtype"] == "uint8"
                remedy = f"{verb} with --env.frame-size {got['shape'][0]}" if frames else "record it again so"
                raise ValueError(
                    f"{field} of column {name} must be {wanted[field]}, got {got[field]} in {where}: {remedy}"
                )


def _option(name: str, value: Any) -> str:
    """The value as a command line option."""
    words = [f"{k}={json.dumps(v)}" for k, v in value.items()] if isinstance(value, dict) else [str(value)]
    return f"--env.{name.replace('_', '-')} {shlex.join(words)}"


def read(path: Path | str) -> Iterator[dict[str, NDArray[Any]]]:
    """Columns [L + 1, ...] of each episode of a dataset, oldest first; see `Dataset.read`."""
    return open_dataset(Path(path)).read()


def export(
    replay: Replay,
    path: Path,
    spec: Spec,
    *,
    source: Mapping[str, Any],
    steps: int | None = None,
    min_return: float | None = None,
) -> Dataset:
    """Write a replay's steps, or a part of them, as a new dataset.

    `steps` takes exactly that many of the newest steps: the oldest episode then loses its beginning. With
    `min_return`, only whole episodes with at least this return are taken, the newest first, as long as they
    fit into `steps`. `source` describes the run. Memory: a chunk and the longest episode.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    episodes = stored_episodes(replay)
    limit = int(episodes.steps.sum()) if steps is None else steps
    if min_return is None:
        chosen = _newest(episodes.steps, limit)
    else:
        chosen = _demonstrations(replay, episodes, limit, min_return)
    if not chosen:
        raise ValueError(_nothing(len(episodes), limit, min_return))

    def content() -> Iterator[Episode]:
        for index, cut in chosen:
            columns = read_episode(replay, episodes, index, spec.columns)
            yield {name: column[cut:] for name, column in columns.items()}

    return write_dataset(path, content(), {**spec.head, "source": dict(source)})


def _newest(lengths: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """(episode, rows cut off its front) of the newest `limit` steps, oldest first."""
    after = np.cumsum(lengths[::-1])[::-1] - lengths  # steps newer than the episode
    return [(i, max(0, int(after[i] + lengths[i]) - limit)) for i in np.flatnonzero(after < limit).tolist()]


def _demonstrations(
    replay: Replay, episodes: Episodes, limit: int, min_return: float
) -> list[tuple[int, int]]:
    """The newest whole episodes that are good enough, within `limit` steps, oldest first."""
    chosen: list[tuple[int, int]] = []
    names = ["reward", "previous_action", "terminated", "truncated"]
    for index in reversed(range(len(episodes))):
        steps = int(episodes.steps[index])
        columns = read_episode(replay, episodes, index, names)
        ends = columns["terminated"][steps - 1] or columns["truncated"][steps - 1]
        whole = begins_episode(columns["previous_action"])[0] and ends
        if not whole or columns["reward"][:steps].sum(dtype=np.float64) < min_return:
            continue
        if steps > limit:
            break
        limit -= steps
        chosen.append((index, 0))
    return chosen[::-1]


def _nothing(episodes: int, limit: int, min_return: float | None) -> str:
    if episodes == 0 or min_return is None:
        return "the replay holds no finished item, so there is nothing to export: train longer"
    return (
        f"none of the replay's {episodes:,} episodes is whole, has a return of at least {min_return:g} and "
        f"at most {limit:,} steps: lower --min-return, or raise --steps"
    )


def fill(
    replay: Replay,
    dataset: Source,
    *,
    first: int = 0,
    frozen: FrozenFeatures | None = None,
    core: CoreStates | None = None,
    stored: bool = False,
    written: Callable[[NDArray[np.int64]], None] = lambda ids: None,
) -> None:
    """Write the episodes of a dataset, from number `first` on, into a replay through `Replay.write`.

    Each is written as an episode of its own, even if a part is missing; one row of up to N streams at a time.
    `frozen` computes the frozen features of a replay that has them. `core` gives the recurrent states that new
    items start from (default zeros); `stored` takes the dataset's own, its column `core_state`. `written` is
    called with the ids of new items. Memory: a chunk and AT_ONCE bytes of episodes, or the longest one if that is
    larger. Raises DatasetError for an action that the environment does not have; then the replay holds a part of
    the episodes.
    """
    waiting = dataset.read(first=first)
    actions = dataset.head["num_actions"]
    free = deque(range(replay.streams))
    playing: dict[int, Episode] = {}  # by stream
    at = np.zeros(replay.streams, np.int64)  # next row of the stream's episode
    lanes = _lanes(replay, dataset)
    names = [name for name in replay.columns if frozen is None or name != FROZEN]
    while True:
        while len(playing) < lanes and (episode := next(waiting, None)) is not None:
            at[free[0]] = 0
            _check_actions(episode["action"], actions, dataset.path)
            playing[free.popleft()] = _for_replay(replay, names, episode, stored=stored)
        if not playing:
            return
        streams = np.array(list(playing))
        rows = [*zip(playing.values(), at[streams].tolist(), strict=True)]
        values = {name: np.stack([episode[name][t] for episode, t in rows]) for name in names}
        if frozen is not None:
            values[FROZEN] = frozen(values, at[streams] == 0, streams)
        last = np.array([t + 1 == len(episode["action"]) for episode, t in rows])
        states = None if core is None else core(values, at[streams] == 0, streams)
        if stored:
            states = np.stack([episode[CORE_STATE][t] for episode, t in rows])
        written(replay.write(values, last, streams=streams, core=states))
        at[streams] += 1
        for stream in streams[last].tolist():
            del playing[stream]
            free.append(stream)


def _lanes(replay: Replay, dataset: Source) -> int:
    """Episodes written in parallel: as many as there are streams, if they fit into AT_ONCE."""
    row_bytes = sum(column.row_bytes for column in replay.columns.values())
    longest = (int(dataset.index["steps"].max()) + 1) * row_bytes
    return min(replay.streams, max(1, AT_ONCE // longest))


def _check_actions(action: NDArray, count: int, path: Path) -> None:
    """Raise DatasetError for an action that counts beyond `count`, or a vector beyond [-1, 1]."""
    low, high = (0, count - 1) if action.ndim == 1 else (-1.0, 1.0)
    outside = ~((action[:-1] >= low) & (action[:-1] <= high))  # NaN too
    if outside.any():
        raise DatasetError(
            f"column action of {path} must be in [{low}, {high}], got {action[:-1][outside][0]}: its steps "
            "are not those of this environment, or were recorded with other numbers; convert them and "
            "write the dataset again"
        )


def _for_replay(replay: Replay, names: list[str], episode: Episode, *, stored: bool) -> Episode:
    """These columns of the replay for an episode, with zeros for optional ones that are missing, and its
    `stored` states."""
    missing = {
        name: np.zeros(len(episode["action"]), replay.columns[name].dtype)
        for name in OPTIONAL
        if name in names and name not in episode
    }
    columns = {name: missing[name] if name in missing else episode[name] for name in names}
    return columns | ({CORE_STATE: episode[CORE_STATE]} if stored else {})
