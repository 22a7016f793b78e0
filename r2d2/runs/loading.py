"""A policy from what a user has: an exported folder, or the folder of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.checkpoint import checkpoint
from r2d2.config import from_dict
from r2d2.runs.folder import CHECKPOINTS, POLICIES
from r2d2.runs.policy import Origin, Policy
from r2d2.runs.policy_files import DESCRIPTION, PolicyError, Which, load_policy, save_policy


def load(path: str | Path, which: Which = "best", *, device: torch.device | str = "cpu") -> Policy:
    """The policy of an exported folder, or of a run.

    Of a run, `which` takes the weights with the best greedy evaluation, or the last ones; a run that has not been
    evaluated has only these. Raises PolicyError for a folder that has neither.
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
    """The last weights of a run of version 0.1, or of one that was stopped before it kept a policy; its environment
    is built to see what it shows."""
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
