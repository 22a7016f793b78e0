"""Config: everything that determines a run."""

from r2d2.config.actor import ActorConfig
from r2d2.config.cluster import ClusterConfig
from r2d2.config.config import Config, check_config, from_dict, to_dict
from r2d2.config.env import EnvConfig
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.config.replay import ReplayConfig
from r2d2.config.run import RunConfig

__all__ = [
    "ActorConfig",
    "ClusterConfig",
    "Config",
    "EnvConfig",
    "LearnerConfig",
    "NetworkConfig",
    "ReplayConfig",
    "RunConfig",
    "check_config",
    "from_dict",
    "to_dict",
]
