"""Whether a config can run: the bounds of its numbers, and what may change when a run is resumed."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from r2d2.config.config import Config, to_dict
from r2d2.config.renamed import modernize

_ANY = float("inf")
# Numbers outside of these stop a run in the middle or make no sense in it; the parts check the rest.
RANGES: dict[str, tuple[float, float]] = {
    "env.num_envs": (1, _ANY),
    **dict.fromkeys(("env.threads", "actor.epsilon_power"), (0, _ANY)),
    **{f"network.{name}": (1, _ANY) for name in ("stack", "features", "core_width", "hidden")},
    **{f"replay.{name}": (1, _ANY) for name in ("steps", "block", "min_steps")},
    **{f"replay.{name}": (0, 1) for name in ("alpha", "alpha_end", "beta", "beta_end", "eta", "long_term")},
    **{
        f"replay.{name}": (0, _ANY)
        for name in ("decay", "newest", "alpha_steps", "beta_steps", "soft_surplus")
    },
    "replay.copies": (1, _ANY),
    **{f"learner.{name}": (1, _ANY) for name in ("batch", "gradient_accumulation_steps", "target_period")},
    **{
        f"learner.{name}": (0, _ANY)
        for name in ("learning_rate", "adam_epsilon", "max_grad_norm", "reward_clip")
    },
    "learner.discount": (0, 1),
    **{f"actor.{name}": (0, 1) for name in ("epsilon_base", "epsilon_end")},
    **{f"actor.{name}": (1, _ANY) for name in ("epsilon_steps", "actor_update_period")},
    **{f"cluster.{name}": (1, _ANY) for name in ("actors", "shards", "packet")},
    "cluster.slack": (0, _ANY),
    **{f"cluster.{name}_cpus": (0, _ANY) for name in ("actor", "shard", "learner", "inference")},
    "cluster.learner_gpus": (-1, _ANY),
    "cluster.inference_gpus": (0, _ANY),
    "cluster.object_store": (80_000_000, _ANY),  # Ray's own least
    "run.seed": (0, 2**63 - 1),
    **{f"run.{name}": (0, _ANY) for name in ("threads", "evaluate_period", "video_period", "probe_items")},
    **{
        f"run.{name}": (1, _ANY) for name in ("steps", "log_period", "checkpoint_period", "evaluate_episodes")
    },
}


def check_ranges(config: Config) -> None:
    """Raise ValueError for the first number that is out of its range, naming the field and the bounds."""
    for name, (low, high) in RANGES.items():
        value = operator.attrgetter(name)(config)
        if not low <= value <= high:
            bound = f"at least {low}" if high == _ANY else f"in [{low}, {high}]"
            raise ValueError(f"{name} must be {bound}, got {value}")


def check_same_parts(saved: Mapping[str, Any], config: Config) -> None:
    """Refuse to load a state whose parts were built otherwise; how it is trained further may change."""
    now, saved = to_dict(config), modernize(saved)
    before = saved["run"].get("runtime", "local")
    if (before == "cluster") != (config.run.runtime == "cluster"):
        raise ValueError(
            f"run.runtime is {config.run.runtime} in config.json but {before} in the checkpoint: only local and "
            "threads go on with each other's, put it back"
        )
    for section in ("env", "network", "replay"):
        for name, value in now[section].items():
            before = saved[section].get(name, value)
            if value != before and name not in ("threads", "folder"):
                raise ValueError(
                    f"{section}.{name} is {value} in config.json but {before} in the checkpoint: "
                    "put it back, or start a new run"
                )
