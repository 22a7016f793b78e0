"""Contents: the items in the replay of a checkpoint, and the network's outputs for them.

Nothing is trained. The index of all items is read at once, steps and recurrent states when an item is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.learner import Learner
from r2d2.agent.staleness import delta_q
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.checkpoint import checkpoint
from r2d2.config import Config
from r2d2.config.resumed import check_same_parts
from r2d2.envs.vector import EnvSpec
from r2d2.replay import frozen
from r2d2.replay.draw import importance_weights
from r2d2.replay.replay import Replay
from r2d2.replay.saved_replay import SavedReplay
from r2d2.replay.selectors.mixture import Mixture
from r2d2.runs import folder
from r2d2.runs.folder import RunError
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.shard import shard_root
from r2d2.runtime.demonstrations import replay_of
from r2d2.runtime.meter import checked_ages

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = (
    "id",
    "priority",
    "probability",
    "weight",
    "age",
    "lag",
    "drawn",
    "return",
    "delta_q_first",
    "delta_q_last",
    "length",
)
BATCH = 256  # items whose Delta-Q is computed together; ours


@dataclass(frozen=True)
class Items:
    """All items of a replay: one number per item and column, [K]; NaN where it is unknown."""

    values: Mapping[str, NDArray[Any]]  # by `COLUMNS`

    def __len__(self) -> int:
        return len(self.values["id"])

    def order(self, column: str, *, descending: bool) -> Ints:
        """The items sorted by a column, those without a value last; ValueError for an unknown column."""
        if column not in COLUMNS:
            raise ValueError(f"items are sorted by one of {', '.join(COLUMNS)}, got {column!r}")
        values = np.asarray(self.values[column], np.float64)
        key = -values if descending else values
        return np.argsort(np.where(np.isnan(key), np.inf, key), kind="stable")

    def rows(self, at: Ints) -> list[dict[str, float | int | None]]:
        """Some of the items, as plain data."""
        return [{name: _plain(self.values[name][i]) for name in COLUMNS} for i in at.tolist()]


class Contents:
    """The replay of a run's newest checkpoint, or of `path`.

    For a run on a cluster it is the part in `shard`; for a mixture the replay number `part` (0 is the recent
    one, then come the long-term one and the demonstrations). Ages and draws of demonstrations are not known.
    """

    def __init__(self, run_dir: Path, path: Path | None = None, *, shard: int = 0, part: int = 0) -> None:
        self.run_dir = run_dir
        self.config, self.preset = folder.read_config(run_dir)
        self.path = folder.checkpoint_of(run_dir, path)
        names = ["config", "learner/network", "learner/target", "learner/updates", "actor/steps"]
        saved = checkpoint.load_part(self.path, names)
        check_same_parts(saved["config"], self.config)
        self.updates, self.env_steps = int(saved["learner/updates"]), int(saved["actor/steps"])
        self.spec: EnvSpec = environments.spec(self.config)
        self.config = build.resolved(self.config, self.spec)
        self.learner = _learner(self.config, self.spec, saved)
        self.observations = build.observations(self.config, self.spec)
        self._ages: dict[str, NDArray[Any]] = {}
        self._probe: dict[str, NDArray[Any]] | None = None
        self.replay, self.share = self._open(shard, part)

    def _open(self, shard: int, part: int) -> tuple[SavedReplay, float]:
        """The replay to show, and its share of a batch."""
        config, source = self.config, self.path
        if config.run.runtime == "cluster":
            layout = Layout(config)
            if not 0 <= shard < layout.shards:
                raise RunError(f"--shard must be in [0, {layout.shards - 1}], got {shard}")
            config = layout.shard_config(shard)
            newest = checkpoint.latest(shard_root(self.run_dir, layout, shard))
            if newest is None:
                raise RunError(f"{self.run_dir} has no checkpoint of shard {shard}")
            source = newest
        else:
            self._probe = checkpoint.load_part(source, ["probe"])["probe"]
        saved = checkpoint.load_part(source, ["replay", "ages"], lazy=True)
        self._counted = "drawn" in saved["ages"]
        self._ages = checked_ages(saved["ages"])
        (made, _), state = replay_of(config, self.spec, self.learner.network), saved["replay"]
        if isinstance(made, Mixture):
            if not 0 <= part < len(made.replays):
                raise RunError(f"--part must be in [0, {len(made.replays) - 1}], got {part}")
            opened = [SavedReplay(each, state[f"replay_{j}"]) for j, each in enumerate(made.written)]
            for j, each in enumerate(made.frozen, len(made.written)):
                frozen.load_state(each, state[f"replay_{j}"])
                opened.append(SavedReplay(each, None))
            made.numbering.count()
            self._outer: Callable[[Ints], Ints] = partial(
                made.numbering.outer, part
            )  # an id as the run knows it
            return opened[part], made.shares[part]
        assert isinstance(made, Replay)
        if part:
            raise RunError(
                f"--part must be 0 for a run without replay.long_term and replay.demonstrations, got {part}"
            )
        self._outer = np.asarray
        return SavedReplay(made, state), 1.0

    @cached_property
    def items(self) -> Items:
        """Every item, with its known values."""
        replay = self.replay.replay
        places = self.replay.places
        ids = replay.items.ids(places)
        mass = replay.selector.values(places)
        probability = mass / mass.sum() if len(mass) else mass
        beta = build_replay.beta(self.config, self.env_steps)
        weight = importance_weights(probability, len(places), beta) if len(places) else probability
        first, last = self._delta_q(ids)
        age, lag, drawn = self._history(ids)
        values = {
            "id": ids,
            "priority": mass,
            "probability": self.share * probability,
            "weight": weight,
            "age": age,
            "lag": lag,
            "drawn": drawn,
            "return": self.replay.returns(places),
            "delta_q_first": first,
            "delta_q_last": last,
            "length": self.replay.lengths(places),
        }
        return Items({name: values[name] for name in COLUMNS})

    def _history(self, ids: Ints) -> tuple[Floats, Floats, Floats]:
        """Age and parameter lag in updates, and times drawn [K]."""
        outer = self._outer(ids)
        order = np.argsort(self._ages["ids"])
        at = order[np.searchsorted(self._ages["ids"], outer, sorter=order).clip(max=len(order) - 1)]
        known = self._ages["ids"][at] == outer
        inserted, acted, drawn = (
            np.where(known, self._ages[name][at], np.nan) for name in ("inserted", "acted", "drawn")
        )
        return self.updates - inserted, self.updates - acted, drawn if self._counted else drawn * np.nan

    def _delta_q(self, ids: Ints) -> tuple[Floats, Floats]:
        """Delta-Q at the first and the last trained step [K] of items whose true states were kept."""
        first, last = np.full((2, len(ids)), np.nan)
        if self._probe is None or len(ids) == 0:
            return first, last
        by_id = {int(outer): i for i, outer in enumerate(self._outer(ids).tolist())}
        kept = [(k, by_id[i]) for k, i in enumerate(self._probe["ids"].tolist()) if i in by_id]
        for start in range(0, len(kept), BATCH):
            probed, at = (np.array(column) for column in zip(*kept[start : start + BATCH], strict=True))
            batch = self.replay.get(ids[at])
            true_first, true_last = self._probe["first"][probed], self._probe["last"][probed]
            first[at], last[at] = delta_q(self.learner, batch, true_first, true_last)
        return first, last


def _learner(config: Config, spec: EnvSpec, saved: Mapping[str, Any]) -> Learner:
    """The learner with the networks of a checkpoint, on the CPU."""
    torch.set_num_threads(build.threads(config))
    learner = build.learner(config, build.network(config, spec), device=torch.device("cpu"))
    learner.network.load_state_dict(saved["learner/network"])
    learner.target.load_state_dict(saved["learner/target"])
    return learner


def _plain(value: Any) -> float | int | None:
    number = value.item()
    if isinstance(number, int):
        return number
    return None if np.isnan(number) else float(f"{number:.6g}")
