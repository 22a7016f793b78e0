"""NetworkConfig: the Q network, or the policy and its critics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from r2d2.config.bounds import WIDTH, Bounds
from r2d2.config.parts import CoreName, HeadName, TorsoName


@dataclass(frozen=True)
class NetworkConfig:
    """The Q network, or the policy and its critics."""

    torso: TorsoName = "nature"
    """Encoder of frames; too small ones get `small` or `grid`, small grids `grid`, vectors always an MLP. `impala`,
    a residual network, takes frames and grids of all sizes."""
    torso_width: Annotated[int, Bounds(1, 10**4)] = 1
    """IMPALA: times the filters of Espeholt et al. (2018), 16, 32 and 32; BTR has 2."""
    torso_pool: Annotated[int, Bounds(0, 10**4)] = 0
    """IMPALA: rows and columns, at most, that adaptive max pooling leaves of the last convolution's output; BTR has
    6, and 0 is no pooling."""
    torso_norm: bool = False
    """IMPALA: a LayerNorm before the last ReLU (ours)."""
    spectral_norm: bool = False
    """IMPALA: divide the kernels of the residual blocks by their largest singular value, as BTR does."""
    stack: Annotated[int, Bounds(1, 1000)] = 4
    """Frames stacked as one observation, built when read."""
    features: Annotated[int, Bounds(0, WIDTH.high)] = 512
    """Units of the fully connected layer before the core; 0 leaves it out (DQN, dueling DQN)."""
    context: Literal["learned", "frozen"] = "learned"
    """What the core sees of an observation: the torso's features, or those of a fixed encoder, which replay keeps,
    so that burn-in needs no pixels; the torso's then join the core's output (RISE, Clark et al. 2025)."""
    context_features: Annotated[int, WIDTH] = 128
    """Frozen context: units of the fixed encoder for each observation column, 2 bytes each of every step (ours)."""
    core: CoreName = "lstm"
    """Recurrent core; `lru`, `mingru` and `ffm` are linear recurrences, `none` is feed-forward."""
    core_width: Annotated[int, WIDTH] = 512
    """Units of the core."""
    core_layers: Annotated[int, Bounds(1, 100)] = 1
    """Cores on top of each other; from the second on each adds to what the one below puts out, after a norm."""
    shared_core: bool = False
    """SAC, TD3, DDPG: one torso and core, trained by the critics, instead of one for the policy and each critic."""
    hidden: Annotated[int, WIDTH] = 512
    """Hidden units of the head, of each of its streams; policies and critics have two layers of them."""
    scale_vectors: bool = False
    """Scale the numbers of vectors that have finite bounds to [0, 1]; images, grids and bytes always are."""
    normalize: bool = False
    """Normalize vectors and grids by the running mean and variance of what was trained on."""
    previous_inputs: bool = True
    """Feed the previous action and reward to the core."""
    head: HeadName = "dueling"
    """Q values of the core's outputs: value and advantages apart (`dueling`), DQN's one layer (`plain`), means of
    histograms that are learned by cross-entropy (`c51`, `hl-gauss`), or of quantiles (`quantile`, as in QR-DQN)."""
    atoms: Annotated[int, Bounds(2, 10**4)] = 51
    """C51: atoms; HL-Gauss: bins (both papers); `quantile`: quantiles, of which QR-DQN has 200."""
    value_low: Annotated[float, Bounds(-1e9, 1e9)] = -10.0
    """C51, HL-Gauss: lowest value of the histogram, in units of h where `learner.rescaling` is on; what is below
    counts as this (both papers have -10 and 10 for rewards that are clipped to [-1, 1])."""
    value_high: Annotated[float, Bounds(-1e9, 1e9)] = 10.0
    """C51, HL-Gauss: highest value of the histogram. 10 is a return of 117 with `learner.rescaling`."""
    smoothing: Annotated[float, Bounds(0.01, 100)] = 0.75
    """HL-Gauss: standard deviation of the targets' Gaussian, in widths of a bin."""
    forget_bias: Annotated[float, Bounds(-100, 100)] = 0.0
    """Added to the forget gate of an LSTM or minGRU at the start; above 1, long memories are learned sooner
    (ours)."""
