"""Config -> environments. Every vector of a run, and the environment for videos, is made here."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import Any

from r2d2.config import Config, EnvConfig
from r2d2.envs.make import make, make_single
from r2d2.envs.vector import EnvSpec, RecordableEnv, VectorEnv


def with_folder(config: Config) -> Config:
    """The config with the working folder stored in it, if its environment may come from there.

    So every process of the run finds the module, on any machine, and so does a resume from another folder.
    """
    if ":" not in config.env.id:
        return config
    return replace(config, env=replace(config.env, folder=os.path.abspath(config.env.folder)))


def vector(
    config: Config, count: int | None = None, *, threads: int | None = None, halves: bool = False
) -> VectorEnv:
    """The run's environments, or `count` of the same kind. `threads` replaces `env.threads`.

    Raises EnvError, with what would work, for what cannot be built.
    """
    env = config.env
    return make(
        env.id,
        env.num_envs if count is None else count,
        protocol=env.protocol,
        threads=env.threads if threads is None else threads,
        halves=halves,
        **_kind(env),
    )


def single(config: Config) -> RecordableEnv:
    """One environment that can be recorded; its episodes are those of the others."""
    return make_single(config.env.id, protocol=config.env.protocol, **_kind(config.env))


def spec(config: Config) -> EnvSpec:
    """The spec of one environment, which is built to read it and closed again."""
    one = vector(config, 1, threads=1)
    one.close()
    return one.spec


def _kind(env: EnvConfig) -> dict[str, Any]:
    return {
        "frame_size": env.frame_size,
        "options": copy.deepcopy(env.options),
        "channels": env.channels,
        "folder": env.folder,
    }
