"""Policies as files: the weights of a network without the replay, and all that is needed to act with them.

    policy.safetensors   the weights; in its header their origin and the hash of the parameters
    policy.json          the config, and the environment's observations and actions

Loading executes no code from the folder, and needs neither the environment nor its package. Files are written
atomically, and a damaged one is detected.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.networks import parameter_hash
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.checkpoint import checkpoint
from r2d2.config import Config, from_dict, to_dict
from r2d2.envs.actions import Actions, BoxActions
from r2d2.envs.observations import Part
from r2d2.envs.vector import EnvSpec, Goals
from r2d2.errors import UserError
from r2d2.runs.folder import CHECKPOINTS, POLICIES
from r2d2.runs.policy import Origin, Policy

FORMAT = 1
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"
Which = Literal["best", "last"]


class PolicyError(UserError, ValueError):
    """A folder without a policy, or with one that cannot be read or written."""


def save_policy(folder: Path, network: AgentNetwork, config: Config, spec: EnvSpec, origin: Origin) -> None:
    """Write a policy into a folder; replaces one of the same run."""
    origin = dataclasses.replace(origin, parameter_hash=parameter_hash(network))
    about = {"format": FORMAT, "config": to_dict(config), "environment": _spec_to_json(spec)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{DESCRIPTION}.partial"
        partial.write_text(json.dumps(about, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(folder / DESCRIPTION)
        partial = folder / f".{WEIGHTS}.partial"
        save_file(tensors, partial, {"origin": json.dumps(dataclasses.asdict(origin))})
        partial.replace(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise PolicyError(f"the policy could not be written into {folder}: {error}") from error


def load_policy(folder: Path, *, device: torch.device | str = "cpu") -> Policy:
    """The policy of a folder that `save_policy` wrote; PolicyError, with the file's name, if it is damaged."""
    about = read_description(folder)
    try:
        config = from_dict(about["config"])
        spec = _spec_from_json(about["environment"])
        network = build.network(config, spec)
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyError(
            f"{folder / DESCRIPTION} is damaged ({error!r}): export the policy again"
        ) from error
    file = folder / WEIGHTS
    try:
        with safe_open(file, "pt") as opened:
            origin = Origin(**json.loads(opened.metadata()["origin"]))
            network.load_state_dict({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"{file} is damaged or of another network ({error}): export it again") from error
    if parameter_hash(network) != origin.parameter_hash:
        raise PolicyError(f"{file} is damaged: its parameters have changed; export the policy again")
    return Policy(network, config, spec, origin, device=device)


def read_description(folder: Path) -> dict[str, Any]:
    """The content of policy.json; PolicyError if it is missing, damaged or of another format."""
    file = folder / DESCRIPTION
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        version = about["format"]
    except OSError as error:
        raise PolicyError(f"{folder} holds no policy: {file.name} cannot be read ({error})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"{file} is damaged ({error!r}): export the policy again") from None
    if version != FORMAT:
        raise PolicyError(
            f"{file} has format {version}, this version reads {FORMAT}: update, or export it again"
        )
    return dict(about)


def read_origin(folder: Path) -> Origin | None:
    """The origin of the weights in a folder; None if there are no readable ones."""
    try:
        with safe_open(folder / WEIGHTS, "pt") as opened:
            return Origin(**json.loads(opened.metadata()["origin"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def load(path: str | Path, which: Which = "best", *, device: torch.device | str = "cpu") -> Policy:
    """The policy of an exported folder, or of a run.

    For a run, `which` chooses the weights with the best greedy evaluation, or the last ones; a run that was never
    evaluated has only the last. Raises PolicyError for a folder that has neither.
    """
    folder = Path(path)
    if (folder / DESCRIPTION).exists():
        return load_policy(folder, device=device)
    for name in (which, "last"):
        if (folder / POLICIES / name / DESCRIPTION).exists():
            return load_policy(folder / POLICIES / name, device=device)
    return _from_checkpoint(folder, device)


def export(run: Path, out: Path, which: Which = "best") -> Policy:
    """Write the policy of a run into the new folder `out`, and return it as it was read back."""
    if out.exists():
        raise PolicyError(f"{out} exists: an export never replaces anything, name another folder")
    policy = load(run, which)
    origin = dataclasses.replace(policy.origin, run=policy.origin.run or run.resolve().name)
    save_policy(out, policy.network, policy.config, policy.spec, origin)
    return load_policy(out)


def _from_checkpoint(run_dir: Path, device: torch.device | str) -> Policy:
    """The last weights of a run of version 0.1, or of one stopped before it saved a policy; its environment is
    built to read the spec."""
    newest = checkpoint.latest(run_dir / CHECKPOINTS)
    if newest is None:
        raise PolicyError(
            f"{run_dir} holds no policy: name the folder of a run that has saved, or one that "
            "`r2d2 export RUN_DIR OUT` wrote"
        )
    saved = checkpoint.load_part(newest, ["config", "learner/network", "actor/steps", "learner/updates"])
    config = from_dict(saved["config"])
    spec = environments.spec(config)
    network = build.network(config, spec)
    network.load_state_dict(saved["learner/network"])
    origin = Origin(run_dir.resolve().name, saved["actor/steps"], saved["learner/updates"])
    return Policy(network, config, spec, origin, device=device)


class Policies:
    """The policies that a run keeps beside its checkpoints, as `policies/best` and `policies/last`.

    A failed write is reported, and the run continues: its checkpoints have the weights as well.
    """

    def __init__(self, run_dir: Path, config: Config, spec: EnvSpec, warn: Callable[[str], None]) -> None:
        self.folder, self.name = run_dir / POLICIES, run_dir.resolve().name
        self.config, self.spec, self.warn = config, spec, warn

    def keep_last(self, network: AgentNetwork, *, env_steps: int, updates: int) -> None:
        """Keep these weights as the newest."""
        self._save("last", network, Origin(self.name, env_steps, updates))

    def keep_best(self, network: AgentNetwork, *, env_steps: int, updates: int, score: float) -> None:
        """Keep these weights if their score is above the best so far; NaN never is."""
        best = read_origin(self.folder / "best")
        least = -math.inf if best is None or best.score is None else best.score
        if score > least:
            self._save("best", network, Origin(self.name, env_steps, updates, score))

    def _save(self, which: Which, network: AgentNetwork, origin: Origin) -> None:
        try:
            save_policy(self.folder / which, network, self.config, self.spec, origin)
        except PolicyError as error:
            self.warn(str(error))


def _spec_to_json(spec: EnvSpec) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": spec.id,
        "parts": [dataclasses.asdict(part) for part in spec.parts],
        "num_actions": spec.num_actions,
        "max_episode_steps": spec.max_episode_steps,
        "goal_size": None if spec.goals is None else spec.goals.size,
        "actions": None,
    }
    for part in values["parts"]:
        for bound in ("low", "high"):  # JSON has no infinity
            part[bound] = [value if math.isfinite(value) else None for value in part[bound]]
    if isinstance(spec.actions, BoxActions):
        values["actions"] = dataclasses.asdict(spec.actions)
    elif spec.actions is not None:
        start = np.asarray(spec.actions.start).tolist()
        values["actions"] = {"count": spec.actions.count, "sizes": spec.actions.sizes, "start": start}
    return values


def _spec_from_json(values: Mapping[str, Any]) -> EnvSpec:
    parts = []
    for saved in values["parts"]:
        part: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()
        }
        for bound, nothing in (("low", -math.inf), ("high", math.inf)):
            part[bound] = tuple(nothing if value is None else value for value in part[bound])
        parts.append(Part(**part))
    actions = values["actions"]
    if actions is not None and "low" in actions:
        low, high, shape = (tuple(actions[name]) for name in ("low", "high", "shape"))
        actions = BoxActions(low, high, shape, actions["dtype"])
    elif actions is not None:
        actions = Actions(actions["count"], tuple(actions["sizes"]), np.array(actions["start"]))
    size = values["goal_size"]
    goals = None if size is None else Goals(size, _no_outcome)
    return EnvSpec(
        values["id"], tuple(parts), values["num_actions"], values["max_episode_steps"], goals, actions
    )


def _no_outcome(achieved: Any, desired: Any) -> Any:
    raise NotImplementedError("a policy that was loaded does not know its environment's rewards")
