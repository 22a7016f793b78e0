"""Config: everything that decides a run, as frozen dataclasses with unit and source of each number.

The defaults are the values of the R2D2 paper (Kapturowski et al. 2019, table 2 and section 2.3) where it
gives one. Presets are Config values in `config/presets.py`; the command line is made from these docstrings.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from r2d2.config.cluster import ClusterConfig
from r2d2.config.renamed import modernize


@dataclass(frozen=True)
class EnvConfig:
    """The environments."""

    id: str = "ALE/Pong-v5"
    """ALE id, Gymnasium id with discrete actions, or one of our own tasks."""
    num_envs: int = 64
    """Environments of the vector; the paper has 256 actors with one each."""
    protocol: Literal["paper", "machado"] = "paper"
    """Atari: `paper` (30 no-ops, no sticky actions) or `machado` (sticky actions 0.25)."""
    frame_size: int = 84
    """Atari: height and width of the gray frames, pixels."""
    life_loss: Literal["none", "reset", "roll"] = "none"
    """Atari: what a lost life means to the learner (R2D2 section 5)."""
    threads: int = 0
    """Atari: emulator threads; 0 is one for each core."""
    options: dict[str, int | float] = field(default_factory=dict)
    """Keyword arguments of our own tasks, as `--env.options delay 20`."""


@dataclass(frozen=True)
class NetworkConfig:
    """The Q network."""

    torso: Literal["nature", "small"] = "nature"
    """Convolutions for frames; vectors always get an MLP."""
    stack: int = 4
    """Frames stacked as one observation, built when read."""
    features: int = 512
    """Units of the fully connected layer before the core."""
    core: Literal["lstm", "gru", "none"] = "lstm"
    """Recurrent core; `none` is feed-forward."""
    core_width: int = 512
    """Units of the core."""
    hidden: int = 512
    """Hidden units of each dueling head."""
    previous_inputs: bool = True
    """Feed the previous action and reward to the core."""
    dueling: bool = True
    """Dueling heads; off is DQN's plain head."""
    forget_bias: float = 0.0
    """Added to the LSTM's forget gate at the start; above 1, long memories are learned sooner (ours)."""


@dataclass(frozen=True)
class ReplayConfig:
    """What is kept, how it is cut into items, and how items are drawn."""

    steps: int = 4_000_000
    """Environment steps kept."""
    burn_in: int = 40
    """Warm-up steps before the trained part, without gradient."""
    unroll: int = 80
    """Trained steps of an item."""
    n_step: int = 5
    """Steps of the n-step return."""
    period: int = 40
    """Steps between the starts of items; at most unroll."""
    initial_state: Literal["stored", "zero", "refreshed", "episode"] = "stored"
    """Recurrent state at the start of an item: the actor's, zero, the learner's own from when it last trained
    the item before, or zero with whole episodes (`episode`: burn_in 0, unroll at least the longest one)."""
    selector: Literal["proportional", "rank", "uniform", "recency"] = "proportional"
    """Which items are drawn: by priority, by its rank, all alike, or the newer the likelier."""
    alpha: float = 0.9
    """Exponent of the priorities or ranks."""
    alpha_end: float = 0.0
    """What alpha goes to, if alpha_steps is not 0 (0 is uniform)."""
    alpha_steps: int = 0
    """Environment steps over which alpha changes, in a hundred stages; 0 is never (the paper keeps it)."""
    stratified: bool = True
    """Draw one item from each of as many ranges of equal probability as the batch has items."""
    decay: float = 1e-4
    """Recency: an item's share falls by exp(-decay) with each item after it (ours)."""
    newest: int = 0
    """Newest items of every environment that are in each batch beside the drawn ones (combined replay)."""
    beta: float = 0.6
    """Exponent of the importance weights; 0 turns them off."""
    beta_end: float = 1.0
    """What beta rises to, if beta_steps is not 0."""
    beta_steps: int = 0
    """Environment steps over which beta rises; 0 is never (the paper keeps it)."""
    normalize: Literal["batch", "buffer"] = "batch"
    """Weights are divided by the largest in the batch, or in the whole replay."""
    remover: Literal["fifo", "reservoir", "lowest", "soft"] = "fifo"
    """What goes: the oldest, all but a uniform sample, the lowest priority, or (`soft`) a surplus (Ape-X)."""
    soft_surplus: float = 0.1
    """Soft: share of `steps` that may be held beyond them until the next removal (ours)."""
    long_term: float = 0.0
    """Share of each batch drawn from a second replay of `steps` steps, a reservoir (CLEAR has 0.5)."""
    eta: float = 0.9
    """Priority: eta * largest + (1 - eta) * mean absolute TD error."""
    priority: Literal["mixed", "lap"] = "mixed"
    """That of the TD errors (`mixed`), or of max(|TD error|, 1) (`lap`: with huber and beta 0)."""
    replay_ratio: float = 0.8
    """Trained steps per environment step (the paper's own statement of its replay ratio)."""
    min_steps: int = 50_000
    """Environment steps before learning starts (ours; the paper gives none)."""
    hindsight: Literal["none", "final", "future", "episode", "random"] = "none"
    """Goal environments: items get copies with goals that were achieved in the end, after the step, at any time
    of the episode, or in any episode so far (HER, section 4.5)."""
    copies: int = 4
    """Hindsight: copies of each item (the paper's k); 1 with `final`."""
    codec: Literal["raw", "lz4", "zstd"] = "lz4"
    """How pixels are kept; vectors are always raw."""
    block: int = 40
    """Steps stored and compressed together."""
    folder: str = ""
    """Keep steps in scratch files in this folder instead of in memory; empty is in memory."""


@dataclass(frozen=True)
class LearnerConfig:
    """The update."""

    batch: int = 64
    """Items in a batch."""
    discount: float = 0.997
    """gamma."""
    learning_rate: float = 1e-4
    """Adam."""
    adam_epsilon: float = 1e-3
    """Adam's epsilon."""
    max_grad_norm: float = 40.0
    """Largest gradient norm (Ape-X; the paper gives none)."""
    target_period: int = 2500
    """Updates between copies into the target network."""
    double: bool = True
    """Double Q-learning."""
    rescaling: bool = True
    """Learn h(Q), the paper's value rescaling."""
    reward_clip: float = 0.0
    """Clip rewards to [-x, x] for the learner only; 0 is off."""
    target_clip: bool = False
    """Clip targets to [-1 / (1 - discount), 0], for tasks with rewards of -1 and 0 (HER, appendix A)."""
    loss: Literal["squared", "huber"] = "squared"
    """Loss of a TD error: half its square, or Huber's, which is linear beyond 1."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Precision of torso and heads; the core, the last layers, losses and parameters stay float32. `auto`:
    bfloat16 where the processor computes in it."""
    gradient_accumulation_steps: int = 1
    """Parts of a batch whose gradients are summed one after the other: less memory, the same update."""
    graphs: bool = False
    """CUDA: replay whole updates as one graph. Off until `make bench-gpu` shows a gain on your GPU (ours)."""


@dataclass(frozen=True)
class ActorConfig:
    """Acting."""

    exploration: Literal["ladder", "linear"] = "ladder"
    """`ladder`: one fixed epsilon per environment (Ape-X); `linear`: one that falls (DQN)."""
    epsilon_base: float = 0.4
    """Ladder: epsilon of the first environment."""
    epsilon_power: float = 7.0
    """Ladder: the last environment has base^(1 + power)."""
    epsilon_end: float = 0.01
    """Linear: final epsilon, from 1."""
    epsilon_steps: int = 250_000
    """Linear: environment steps until the final epsilon."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Precision of torso and heads when acting, as in `learner`."""
    halves: bool = False
    """Two half vectors in turn: one plays while the network works on the other. The actions are the same; pays
    where the network has cores or a GPU of its own."""
    actor_update_period: int = 400
    """Steps of each environment between refreshes of the actor's weights."""


@dataclass(frozen=True)
class RunConfig:
    """The run itself."""

    seed: int = 0
    """Seed of everything."""
    runtime: Literal["local", "threads", "cluster"] = "local"
    """Acting and learning in turn, the same numbers every time (`local`); at once, in two `threads`; or in
    processes on Ray (`cluster`, see `cluster.*`)."""
    steps: int = 10_000_000
    """Environment steps to train for (agent decisions; 4 frames each on Atari)."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: int = 0
    """CPU threads of the networks; 0 is one for each core."""
    prefetch: bool = True
    """Decode the next batch while the learner works; the numbers are the same either way."""
    log_period: int = 10_000
    """Environment steps between log lines."""
    checkpoint_period: int = 500_000
    """Environment steps between checkpoints. Each one truncates the running episodes, so seldom is better."""
    evaluate_period: int = 250_000
    """Environment steps between greedy evaluations; 0 is never."""
    evaluate_episodes: int = 10
    """Episodes of an evaluation, one environment each."""
    video_period: int = 5
    """Evaluations between videos of one greedy episode; 0 is never."""
    probe_items: int = 256
    """Items whose true recurrent states are kept, to measure Delta-Q; 0 is off (ours)."""
    stop_return: float | None = None
    """Stop once an evaluation's mean return reaches this."""
    track: Literal["auto", "wandb", "wandb-offline", "none"] = "auto"
    """Weights & Biases: auto is online when logged in, else offline."""
    group: str = ""
    """Weights & Biases group; empty is the environment id."""
    tags: tuple[str, ...] = ()
    """Weights & Biases tags."""


@dataclass(frozen=True)
class Config:
    """A whole run."""

    env: EnvConfig = field(default_factory=EnvConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    run: RunConfig = field(default_factory=RunConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dicts that JSON can hold."""
    return dataclasses.asdict(config)


def from_dict(values: Mapping[str, Any], cls: Any = Config, path: str = "") -> Any:
    """The config that `to_dict` gave; an unknown key is an error with a suggestion.

    A key that is missing, since the run was begun before it existed, takes its default; one that has been renamed
    since is taken under its old name.
    """
    hints = typing.get_type_hints(cls)
    values = modernize(values) if cls is Config else values
    unknown = [key for key in values if key not in hints]
    if unknown:
        near = difflib.get_close_matches(unknown[0], hints, 1)
        hint = f": did you mean {path}{near[0]}?" if near else f": known are {', '.join(sorted(hints))}"
        raise ValueError(f"unknown config key {path}{unknown[0]}{hint}")
    arguments = {}
    for key, value in values.items():
        kind = hints[key]
        if dataclasses.is_dataclass(kind):
            value = from_dict(value, kind, f"{path}{key}.")
        elif typing.get_origin(kind) is tuple and isinstance(value, list):  # JSON has no tuples
            value = tuple(value)
        _check_type(f"{path}{key}", value, kind)
        arguments[key] = value
    return cls(**arguments)


def _check_type(name: str, value: Any, kind: Any) -> None:
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            raise ValueError(
                f"{name} must be one of {', '.join(map(str, typing.get_args(kind)))}, got {value!r}"
            )
        return
    allowed = typing.get_args(kind) if origin in (types.UnionType, typing.Union) else (origin or kind,)
    if float in allowed:
        allowed = (*allowed, int)
    if not isinstance(value, tuple(allowed)) or (isinstance(value, bool) and bool not in allowed):
        raise ValueError(f"{name} must be {kind}, got {value!r}")
