"""R2D2: recurrent sequence replay and the agents that learn from it.

    import r2d2

    run_dir = r2d2.train(r2d2.preset("memory"))
    policy = r2d2.load(run_dir)
    policy.reset(n)
    actions = policy.act(observations)

Importing the package imports none of its parts, so that it is fast and works without torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from r2d2.config import Config
    from r2d2.config.presets import preset
    from r2d2.runs.policy import Policy

__version__ = "0.1.0"
__all__ = ["Config", "Policy", "__version__", "load", "preset", "train"]

_PLACES = {"Config": "r2d2.config", "Policy": "r2d2.runs.policy", "preset": "r2d2.config.presets"}


def train(config: Config, run_dir: str | Path | None = None) -> Path:
    """Train an agent as `r2d2 train` does, and return the folder of the run, which `load` takes.

    `run_dir` must be empty or absent; without it a folder in runs/ is made. Progress goes to the standard output.
    The first Ctrl-C saves and returns; `r2d2 resume` resumes the run. Raises ValueError for a config that no run
    can have, before anything is opened.
    """
    from r2d2.config import check_config
    from r2d2.config.presets import name_of
    from r2d2.runs.folder import new_folder
    from r2d2.runtime import training

    check_config(config)
    name = name_of(config)
    with new_folder(config, name, None if run_dir is None else Path(run_dir)) as folder:
        training.start(config, folder, preset=name)
    return folder


def load(path: str | Path, which: Literal["best", "last"] = "best", *, device: str = "cpu") -> Policy:
    """The policy of a run's folder, or of one that `r2d2 export` wrote.

    Of a run, `which` takes the weights with the best greedy evaluation, or the last ones; a run that has not been
    evaluated has only these.
    """
    from r2d2.runs.policy_files import load as load_from

    return load_from(path, which, device=device)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'r2d2' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
