"""Selection: how transitions are drawn, and checks of the buffer's arguments."""

from __future__ import annotations

from typing import Literal, get_args

from r2d2.replay import Proportional, RankBased, Selector, Uniform
from r2d2.types import Codec

Selection = Literal["uniform", "proportional", "rank"]

ALPHA = {"proportional": 0.6, "rank": 0.7}  # Schaul et al. 2016, table 3
LEAST = 4  # transitions of each environment: what one write of a replay may need


def make_selector(selection: Selection, capacity: int, alpha: float | None) -> Selector:
    """The selector for `capacity` transitions; alpha None is the paper's."""
    if selection == "uniform":
        return Uniform(capacity)
    alpha = ALPHA[selection] if alpha is None else alpha
    return (Proportional if selection == "proportional" else RankBased)(capacity, alpha=alpha)


def check_arguments(
    buffer_size: int,
    n_envs: int,
    optimize: bool,
    n_steps: int,
    gamma: float | None,
    selector: str,
    alpha: float | None,
    codec: str,
) -> None:
    """Raise ValueError for the first invalid argument of a buffer."""
    if buffer_size < LEAST * n_envs:
        raise ValueError(
            f"buffer_size must be at least {LEAST * n_envs} ({LEAST} for each of {n_envs} environments), "
            f"got {buffer_size}"
        )
    if optimize:
        raise ValueError(
            "optimize_memory_usage must be False: each observation is stored once anyway, and episodes end with "
            "their true last one"
        )
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}")
    if n_steps > 1 and gamma is None:
        raise ValueError(
            f"gamma must be given with n_steps={n_steps}, the same as the model's: "
            f'replay_buffer_kwargs={{"n_steps": {n_steps}, "gamma": 0.99}}'
        )
    if gamma is not None and not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma must be in [0, 1], got {gamma}")
    if selector not in ("uniform", *ALPHA):
        raise ValueError(f'selector must be "uniform", "proportional" or "rank", got {selector!r}')
    if alpha is not None and selector == "uniform":
        raise ValueError(
            f'alpha={alpha} needs selector="proportional" or "rank": uniform draws have no priority'
        )
    if codec not in get_args(Codec):
        raise ValueError(f"codec must be one of {', '.join(get_args(Codec))}, got {codec!r}")
