"""LearnerConfig: the update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from r2d2.config.bounds import COUNT, COUNT_OR_NEVER, SHARE, Bounds


@dataclass(frozen=True)
class LearnerConfig:
    """The update."""

    method: Literal["q_learning", "sac", "td3", "ddpg"] = "q_learning"
    """Q-learning for actions that are counted; SAC, TD3 or DDPG for those that are vectors (Box spaces)."""
    batch: Annotated[int, Bounds(1, 10**6)] = 64
    """Items in a batch."""
    batch_steps: Annotated[int, Bounds(0, 10**9)] = 0
    """Steps for which a batch has more items than `batch`, where `unroll` or whole episodes are short: so that
    updates are about as frequent whatever the length of episodes is (ours). 0 is `batch` alone."""
    discount: Annotated[float, SHARE] = 0.997
    """gamma."""
    optimizer: Literal["adam", "adamw", "rmsprop"] = "adam"
    """`adam`; `adamw`, which is Adam with decoupled weight decay (Loshchilov & Hutter 2019); or DQN's centered
    `rmsprop`."""
    learning_rate: Annotated[float, Bounds(0, 10)] = 1e-4
    """Step size of the optimizer."""
    core_rate: Annotated[float, Bounds(0, 1000)] = 1.0
    """Learning rate of the recurrent core, as a share of `learning_rate`: below 1, what the core makes of the past
    changes more slowly than what the head makes of that (RESeL, Luo et al. 2024)."""
    learning_rate_end: Annotated[float, SHARE] = 1.0
    """Share of `learning_rate` that is left at `run.steps`, to which it falls in a line; 1 is constant, 0 what RL
    Baselines3 Zoo has for many tasks."""
    adam_epsilon: Annotated[float, Bounds(0, 100)] = 1e-3
    """Adam's and AdamW's epsilon."""
    weight_decay: Annotated[float, Bounds(0, 10)] = 0.1
    """AdamW: share of a weight, times the learning rate, that it loses at each step (BBF, Schwarzer et al. 2023);
    vectors, such as biases and the weights of norms, lose nothing."""
    min_squared_gradient: Annotated[float, Bounds(1e-30, 100)] = 0.01 / 32**2
    """RMSProp's epsilon, under the root. DQN has 0.01 for gradients summed over 32 items; ours are their mean."""
    max_grad_norm: Annotated[float, Bounds(0, 1e12)] = 40.0
    """Largest gradient norm (Ape-X; the paper gives none); 0 is no limit."""
    target_period: Annotated[int, COUNT] = 2500
    """Updates between copies into the target network."""
    target_averaging: Annotated[float, Bounds(1e-6, 1)] = 1.0
    """Share of the way to the online network that the target goes every `target_period` updates; 1 is a copy. DDPG
    has 0.001 after every update (Lillicrap et al. 2016)."""
    reset_period: Annotated[int, COUNT_OR_NEVER] = 0
    """Updates between resets of the networks; 0 is never. SR-SPR (D'Oro et al. 2023) and BBF (Schwarzer et
    al. 2023) have 40,000; docs/networks.md."""
    reset_shrink: Annotated[float, SHARE] = 0.5
    """Share of themselves that the weights of torso and core keep at a reset, the rest being newly drawn
    ones (shrink and perturb): 0.5 in BBF, 0.8 in SR-SPR; 1 leaves them alone, 0 draws them anew."""
    reset_heads: bool = True
    """Draw the weights of heads anew at a reset; of SAC the temperature too."""
    reset_last: Annotated[int, COUNT_OR_NEVER] = 0
    """Updates after which there are no more resets, so that the last one can be made up for; 0 is no end."""
    reset_states: Literal["keep", "zero"] = "keep"
    """What items begin with whose stored recurrent states are of weights before the last reset: these, or
    zero (ours)."""
    policy_period: Annotated[int, COUNT] = 1
    """SAC, TD3, DDPG: updates between those of the policy; TD3 has 2, with targets that follow as often."""
    target_noise: Annotated[float, Bounds(0, 100)] = 0.2
    """TD3: standard deviation of the noise on target actions, which go from -1 to 1 (section 6.1)."""
    target_noise_limit: Annotated[float, Bounds(0, 100)] = 0.5
    """TD3: where that noise is clipped."""
    temperature: Annotated[float, Bounds(0, 1e6)] = 0.0
    """SAC: weight of the entropy; 0 learns it, from 1 on, so that the entropy goes to `target_entropy`."""
    target_entropy: Annotated[float, Bounds(-1e6, 1e6)] | None = None
    """SAC: nats; None is minus the numbers of an action (Haarnoja et al. 2018b)."""
    double: bool = True
    """Double Q-learning."""
    rescaling: bool = True
    """Learn h(Q), the paper's value rescaling."""
    target: Literal["n-step", "peng", "retrace", "watkins"] = "n-step"
    """Return that Q(s, a) is trained towards: n steps, or over the whole item with traces: uncorrected (Peng's
    Q(lambda)), Retrace, or soft Watkins Q(lambda) (MEME); docs/targets.md."""
    trace_decay: Annotated[float, SHARE] = 0.95
    """lambda of the returns with traces (MEME, Agent57)."""
    trace_tolerance: Annotated[float, Bounds(0, 1e6)] = 0.01
    """kappa of soft Watkins: how far below the best, as a share of it, an action may be for the trace to go on
    (MEME); 0 is Watkins' Q(lambda)."""
    target_epsilon: Annotated[float, SHARE] = 0.01
    """Retrace: epsilon of the policy that is learned (ours)."""
    munchausen: Annotated[float, SHARE] = 0.0
    """alpha of Munchausen RL, which has 0.9: rewards get alpha tau log pi(a|s), and values are soft; 0 is off."""
    munchausen_temperature: Annotated[float, Bounds(1e-6, 1e6)] = 0.03
    """tau of Munchausen RL."""
    bootstrap: Literal["target", "online"] = "target"
    """Network whose values targets bootstrap from; `online` as in MEME, which keeps it in a trust region."""
    trust_region: Annotated[float, Bounds(0, 1e6)] = 0.0
    """alpha: a step is left out of the loss while Q(s, a) is further than alpha sigma from the target network's and
    would go further; sigma is the standard deviation of TD errors. MEME has 2; 0 is off."""
    normalize_td_errors: bool = False
    """Divide TD errors by sigma, for the loss and for priorities (MEME)."""
    value_rms: Annotated[float, Bounds(0, 1e9)] = 0.0
    """Root mean square of targets up to which values are learned as they are. Larger ones are divided by a running
    scale, so that the network learns numbers of this size (PopArt, van Hasselt et al. 2016, without its shift);
    0 is off."""
    td_deviation_floor: Annotated[float, Bounds(1e-12, 1e6)] = 0.01
    """Least sigma, so that noise around 0 is not made larger (MEME)."""
    td_deviation_rate: Annotated[float, Bounds(1e-6, 1)] = 0.01
    """Share of the newest batch in the running sigma (ours); sigma is that of the batch where this is larger."""
    reward_clip: Annotated[float, Bounds(0, 1e12)] = 0.0
    """Clip rewards to [-x, x] for the learner only; 0 is off."""
    target_clip: bool = False
    """Clip targets to [-1 / (1 - discount), 0], for tasks with rewards of -1 and 0 (HER, appendix A)."""
    loss: Literal["squared", "huber"] = "squared"
    """Loss of a TD error: half its square, or Huber's, which is linear beyond 1."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Precision of torso and heads; the core, the last layers, losses and parameters stay float32. `auto`:
    bfloat16 where the processor computes in it."""
    gradient_accumulation_steps: Annotated[int, Bounds(1, 10**6)] = 1
    """Parts of a batch whose gradients are summed one after the other: less memory, the same update."""
    graphs: bool = False
    """CUDA: replay whole updates as one graph. Off until `make bench-gpu` shows a gain on your GPU (ours)."""

    @property
    def scales_td_errors(self) -> bool:
        """Whether the standard deviation of TD errors matters."""
        return self.normalize_td_errors or self.trust_region > 0.0

    @property
    def records_behavior(self) -> bool:
        """Whether the actor must record the probability with which it chose each action."""
        return self.target == "retrace"
