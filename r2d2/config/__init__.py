"""Config: everything that decides a run."""

from r2d2.config.cluster import ClusterConfig
from r2d2.config.config import (
    ActorConfig,
    Config,
    EnvConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
    RunConfig,
    from_dict,
    to_dict,
)

__all__ = [
    "ActorConfig",
    "ClusterConfig",
    "Config",
    "EnvConfig",
    "LearnerConfig",
    "NetworkConfig",
    "ReplayConfig",
    "RunConfig",
    "from_dict",
    "to_dict",
]
