"""Checks that a checkpoint fits the run; the replay and the limiter check their own parts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from r2d2.agent.learner import Learner
from r2d2.agent.networks import parameter_hash
from r2d2.checkpoint.alike import check_alike, check_numbers
from r2d2.config import from_dict

TRACKER = {"env_steps": 0, "updates": 0, "lines": 0, "wall_seconds": 0.0, "sinks": {}}
METER: dict[str, Any] = {"sums": {}, "adds": 0, "counts": {}}
CONFIG: dict[str, Any] = {"env": {}, "network": {}, "replay": {}, "run": {}}
EPISODE = {0: 0, 1: 0.0, 2: 0}  # slot, return and length


def check_records(state: Mapping[str, Any]) -> None:
    """Raise ValueError, with the field, unless the state that every run keeps is there and valid."""
    records = {"config": CONFIG, "recent": [], "tracker": TRACKER, "parameter_hash": ""}
    check_alike(state, records, "")
    from_dict(state["config"])
    for name, sink in state["tracker"]["sinks"].items():
        check_alike(sink, {}, f"tracker/sinks/{name}")
    for i, episode in enumerate(state["recent"]):
        check_alike(episode, [], f"recent/{i}")
        check_alike(dict(enumerate(episode)), EPISODE, f"recent/{i}")
    if "meter" in state:  # in a cluster it belongs to the learner
        check_alike(state["meter"], METER, "meter")
        check_numbers(state["meter"]["sums"], "meter/sums")
        check_numbers(state["meter"]["counts"], "meter/counts")


def check_learner(state: Any, learner: Learner) -> None:
    """Check the networks and the optimizer of a learner; ValueError with the field."""
    networks = {name: getattr(learner, name).state_dict() for name in ("network", "target")}
    check_alike(state, networks | {"updates": 0}, "learner")
    name = "optimizer" if "optimizer" in state else "optimiser"  # until 0.1
    path = f"learner/{name}"
    check_alike(state.get(name), {"state": {}, "param_groups": []}, path)
    groups = learner.optimizer.state_dict()["param_groups"]
    own = learner.method.state_dict()
    check_alike(
        state, {n: v for n, v in own.items() if n in state and isinstance(v, torch.Tensor)}, "learner"
    )
    if [group["params"] for group in state[name]["param_groups"]] != [group["params"] for group in groups]:
        raise ValueError(f"{path}/param_groups are of another network or learner.optimizer")
    if state["updates"]:  # there is no state before the first
        check_alike(state[name]["state"], _known(state[name], learner), f"{path}/state")
    elif state[name]["state"]:
        raise ValueError(f"{path}/state must be empty before the first update")


def _known(saved: Any, learner: Learner) -> dict[Any, Any]:
    """The states that must be there: those of all parameters, except groups without a first gradient yet."""
    every = _after_a_step(learner.optimizer)["state"]
    parts = [group["params"] for group in saved["param_groups"]]
    each = len(parts) // len(learner.network.groups())  # AdamW has two for each group
    first, *others = ([j for part in parts[i : i + each] for j in part] for i in range(0, len(parts), each))
    begun = [group for group in others if any(i in saved["state"] for i in group)]
    return {i: every[i] for group in [first, *begun] for i in group}


def _after_a_step(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of a copy of the optimizer after one step."""
    twin = copy.deepcopy(optimizer)
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    twin.step()
    return twin.state_dict()


def check_hash(network: torch.nn.Module, saved: str) -> None:
    """Raise ValueError unless these are the parameters that were saved."""
    found = parameter_hash(network)
    if found != saved:
        raise ValueError(f"parameter_hash is {saved!r}, but that of learner/network is {found!r}")
