"""Demonstrations: a dataset beside what a run plays itself, which gives a fixed share of every batch.

R2D3 (Paine et al. 2020) has demonstrations of people there, replay across experiments (Tirumala et al. 2023)
the steps of earlier runs. They are a frozen replay of a `Mixture`, with priorities of its own, filled from
the dataset whenever the run starts or resumes: a checkpoint holds their priorities and not their steps.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.agent.acting_state import FrozenFeatures
from r2d2.agent.actor_critic import AgentNetwork
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.config import Config, to_dict
from r2d2.dataset.dataset import CORE_STATE, VALUES, Source, Spec, fill
from r2d2.dataset.files import DatasetError, open_dataset
from r2d2.envs.vector import EnvSpec
from r2d2.replay import Mixture, Replay

FLAG = "--replay.demonstrations"


def opened(config: Config, spec: EnvSpec) -> Source | None:
    """The dataset of `replay.demonstrations`, or None without; ValueError or DatasetError, naming the flag,
    the value and the remedy, if it cannot be read or its steps are not of the kind that the run makes."""
    name = config.replay.demonstrations
    if not name:
        return None
    build_replay.shares_of(config)
    try:
        source = _open(name, config, spec)
    except DatasetError as error:
        raise DatasetError(
            f"{FLAG} {name}: {error}; if it was moved, name its new place (of a run that exists: in its "
            "config.json)"
        ) from None
    wanted = Spec.of(to_dict(config.env), spec.num_actions, build.columns(config, spec, stack=1))
    wanted.check_takes(source, flag=FLAG)
    longest = int(source.index["steps"].max())
    if config.replay.initial_state == "episode" and longest > config.replay.unroll:
        raise ValueError(
            f"{FLAG} {name} has an episode of {longest:,} steps, but with replay.initial_state episode an "
            f"item is a whole episode of at most {config.replay.unroll:,}: raise --replay.unroll, or use "
            "--replay.initial-state stored"
        )
    return source


def _open(name: str, config: Config, spec: EnvSpec) -> Source:
    if name.startswith("minari:"):
        from r2d2.runtime.minari import MinariEpisodes  # an extra

        return MinariEpisodes(name, config, spec)
    return open_dataset(Path(name))


def steps_of(config: Config) -> int:
    """Steps of the dataset of a config; 0 without any."""
    if not config.replay.demonstrations:
        return 0
    spec = environments.spec(config)
    source = opened(build.resolved(config, spec), spec)
    return 0 if source is None else int(source.head["steps"])


def replay_of(
    config: Config, spec: EnvSpec, network: AgentNetwork, source: Source | None = None
) -> tuple[Replay | Mixture, str]:
    """The replay of a run, its demonstrations filled in, and the checksum of their dataset; "" without any.
    `network` has the frozen encoder of the run, if there is one; `source` is the dataset if it was opened."""
    source = opened(config, spec) if source is None else source
    if source is None:
        return build_replay.replay(config, spec), ""
    made = build_replay.replay(config, spec, source.index["steps"])
    assert isinstance(made, Mixture)
    (frozen,) = made.frozen
    rates = config.replay.first_priority == "actor" and recorded_values(config, source)
    items = 0

    def rate(ids: NDArray[np.int64]) -> None:
        nonlocal items
        items += len(ids)
        if rates and len(ids):
            build_replay.set_initial_priorities(config, frozen, ids)

    stored, states = _states(config, source)
    features = None if network.frozen is None else FrozenFeatures(network, frozen.streams)
    fill(frozen, source, frozen=features, stored=stored, written=rate)
    if len(frozen) != items:
        raise RuntimeError(f"the replay of {source.path} lost {items - len(frozen)} of its {items} items")
    made.numbering.count()  # it has grown where episodes are short
    batch = config.learner.batch
    drawn = build_replay.batch_shares(batch, made.shares)[-1]
    print(
        f"demonstrations: {len(frozen):,} items of {source.head['steps']:,} steps in {source.path} give "
        f"{made.shares[-1]:g} of every batch ({drawn} of {batch} items); {states}"
    )
    return made, source.checksum


def _states(config: Config, source: Source) -> tuple[bool, str]:
    """Whether items start from recurrent states of the dataset, and what to say of theirs."""
    size, column = build.core_size(config), source.head["columns"].get(CORE_STATE)
    if size == 0:
        return False, "there is no recurrent state"
    if config.replay.initial_state in ("zero", "episode") or column is None:
        return False, "they start from zero states"
    if (column["shape"], column["dtype"]) != ([size], "float32"):
        got = f"{column['dtype']} {column['shape']}"
        return (
            False,
            f"they start from zero states, since {CORE_STATE} is {got} and this network's float32 [{size}]",
        )
    return True, f"they start from the states of its column {CORE_STATE}"


def recorded_values(config: Config, dataset: Source) -> bool:
    """Whether priorities can be computed from the recorded Q values; warns if not."""
    source = dataset.head.get("source", {}).get("config", {}).get("learner", {})
    other = [
        name
        for name in ("rescaling", "discount")
        if name in source and source[name] != getattr(config.learner, name)
    ]
    if not set(VALUES) <= set(dataset.head["columns"]):
        why = "the dataset has no recorded Q values"
    elif other:
        why = f"the recorded Q values are those of learner.{other[0]} {source[other[0]]}"
    else:
        return True
    print(f"all items begin with the same priority: {why}", file=sys.stderr)
    return False


def measures(
    replay: Replay | Mixture, ids: NDArray[np.int64], priorities: NDArray[np.float64]
) -> dict[str, float]:
    """What an update found of the demonstrations and of the run's own items in its batch; nothing without any."""
    if not isinstance(replay, Mixture) or not replay.frozen:
        return {}
    shown = replay.frozen_items(ids)
    return {
        "replay/demonstration_share": float(shown.mean()),
        "replay/demonstration_priority": float(priorities[shown].mean()),
        "replay/own_priority": float(priorities[~shown].mean()),
    }


def check_demonstrations(state: Mapping[str, Any], config: Config, checksum: str) -> None:
    """Raise ValueError if a checkpoint was made with another dataset."""
    saved = state.get("demonstrations", "")
    if saved and checksum and saved != checksum:
        raise ValueError(
            f"{FLAG} {config.replay.demonstrations} has changed since the checkpoint: its checksum is "
            f"{checksum[:12]}, then {saved[:12]}; put the old dataset back, or start a new run"
        )
