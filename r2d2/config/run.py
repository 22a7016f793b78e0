"""RunConfig: the run itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from r2d2.config.bounds import COUNT, COUNT_OR_NEVER, Bounds


@dataclass(frozen=True)
class RunConfig:
    """The run itself."""

    seed: Annotated[int, Bounds(0, 2**63 - 1)] = 0
    """Seed of everything."""
    runtime: Literal["local", "threads", "cluster"] = "local"
    """Acting and learning in turn, the same numbers every time (`local`); at once, in two `threads`; or in
    processes on Ray (`cluster`, see `cluster.*`)."""
    steps: Annotated[int, COUNT] = 10_000_000
    """Environment steps to train for (agent decisions; 4 frames each on Atari)."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: Annotated[int, Bounds(0, 10**4)] = 0
    """CPU threads of the networks; 0 is one for each core."""
    prefetch: bool = True
    """Decode the next batch while the learner works; the numbers are the same either way."""
    log_period: Annotated[int, COUNT] = 10_000
    """Environment steps between log lines."""
    checkpoint_period: Annotated[int, COUNT] = 500_000
    """Environment steps between checkpoints. Each one truncates the running episodes, so seldom is better."""
    evaluate_period: Annotated[int, COUNT_OR_NEVER] = 250_000
    """Environment steps between greedy evaluations; 0 is never."""
    evaluate_episodes: Annotated[int, Bounds(1, 10**5)] = 10
    """Episodes of an evaluation, one environment each."""
    video_period: Annotated[int, COUNT_OR_NEVER] = 5
    """Evaluations between videos of one greedy episode; 0 is never."""
    probe_items: Annotated[int, Bounds(0, 10**7)] = 256
    """Items whose true recurrent states are kept, to measure Delta-Q; 0 is off (ours)."""
    stop_return: Annotated[float, Bounds(-1e30, 1e30)] | None = None
    """Stop once an evaluation's mean return reaches this."""
    track: Literal["auto", "wandb", "wandb-offline", "none"] = "auto"
    """Weights & Biases: auto is online when logged in, else offline."""
    group: str = ""
    """Weights & Biases group; empty is the environment id."""
    tags: tuple[str, ...] = ()
    """Weights & Biases tags."""
    upload_policy: bool = False
    """Weights & Biases: keep the best and the last policy as an artifact when the run ends."""
