"""ReplayConfig: what is kept, how it is cut into items, and how items are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from r2d2.config.bounds import COUNT, COUNT_OR_NEVER, ITEM_STEPS, SHARE, Bounds
from r2d2.config.parts import RemoverName, SelectorName


@dataclass(frozen=True)
class ReplayConfig:
    """What is kept, how it is cut into items, and how items are drawn."""

    steps: Annotated[int, Bounds(1, 10**12)] = 4_000_000
    """Environment steps kept."""
    items: Annotated[int, COUNT_OR_NEVER] = 0
    """Items kept; 0 is as many as `steps` make: five for every four periods, and twice as many each time that short
    episodes use them up before (not with `soft`)."""
    burn_in: Annotated[int, Bounds(0, 2**15 - 1)] = 40
    """Warm-up steps before the trained part, without gradient."""
    unroll: Annotated[int, ITEM_STEPS] = 80
    """Trained steps of an item."""
    n_step: Annotated[int, ITEM_STEPS] = 5
    """Steps of the n-step return."""
    period: Annotated[int, ITEM_STEPS] = 40
    """Steps between the starts of items; at most unroll."""
    initial_state: Literal["stored", "zero", "refreshed", "episode"] = "stored"
    """Recurrent state at the start of an item: the actor's, zero, the learner's own from when it last trained
    the item before, or zero with items that are whole episodes (`episode`, whatever burn_in and unroll are)."""
    selector: SelectorName = "proportional"
    """Which items are drawn: by priority, by its rank, all alike, or the newer the likelier."""
    alpha: Annotated[float, SHARE] = 0.9
    """Exponent of the priorities or ranks."""
    alpha_end: Annotated[float, SHARE] = 0.0
    """What alpha goes to, if alpha_steps is not 0 (0 is uniform)."""
    alpha_steps: Annotated[int, COUNT_OR_NEVER] = 0
    """Environment steps over which alpha changes, in a hundred stages; 0 is never (the paper keeps it)."""
    stratified: bool = True
    """Draw one item from each of as many ranges of equal probability as the batch has items."""
    decay: Annotated[float, Bounds(0, 100)] = 1e-4
    """Recency: an item's share falls by exp(-decay) with each item after it (ours)."""
    newest: Annotated[int, Bounds(0, 10**6)] = 0
    """Newest items of every environment that are in each batch beside the drawn ones (combined replay)."""
    beta: Annotated[float, SHARE] = 0.6
    """Exponent of the importance weights; 0 turns them off."""
    beta_end: Annotated[float, SHARE] = 1.0
    """What beta rises to, if beta_steps is not 0."""
    beta_steps: Annotated[int, COUNT_OR_NEVER] = 0
    """Environment steps over which beta rises; 0 is never (the paper keeps it)."""
    normalize: Literal["batch", "buffer"] = "batch"
    """Weights are divided by the largest in the batch, or in the whole replay."""
    remover: RemoverName = "fifo"
    """What goes: the oldest, all but a uniform sample, the lowest priority, or (`soft`) a surplus (Ape-X)."""
    soft_surplus: Annotated[float, Bounds(0, 100)] = 0.1
    """Soft: share of `steps` that may be held beyond them until the next removal (ours)."""
    long_term: Annotated[float, SHARE] = 0.0
    """Share of each batch drawn from a second replay of `steps` steps, a reservoir (CLEAR has 0.5)."""
    demonstrations: str = ""
    """A dataset whose items are never removed and give `demonstration_share` of every batch: a folder of
    `r2d2 replay export`, or minari:ID; docs/datasets.md."""
    demonstration_share: Annotated[float, SHARE] = 0.25
    """Share of each batch drawn from `demonstrations`, rounded to whole items (ours; R2D3, Paine et al. 2020, tunes
    it)."""
    eta: Annotated[float, SHARE] = 0.9
    """Priority: eta * largest + (1 - eta) * mean absolute TD error."""
    first_priority: Literal["actor", "highest"] = "actor"
    """Priority of a new item: that of the actor's own Q values (Ape-X, R2D2), or the highest so far (PER)."""
    priority: Literal["mixed", "lap"] = "mixed"
    """That of the TD errors (`mixed`), or of max(|TD error|, 1) (`lap`: with huber and beta 0)."""
    replay_ratio: Annotated[float, Bounds(1e-6, 10**6)] = 0.8
    """Trained steps per environment step (the paper's own statement of its replay ratio)."""
    min_steps: Annotated[int, COUNT] = 50_000
    """Environment steps before learning starts (ours; the paper gives none)."""
    hindsight: Literal["none", "final", "future", "episode", "random"] = "none"
    """Goal environments: items get copies with goals that were achieved in the end, after the step, at any time
    of the episode, or in any episode so far (HER, section 4.5)."""
    copies: Annotated[int, Bounds(1, 1000)] = 4
    """Hindsight: copies of each item (the paper's k); 1 with `final`."""
    codec: Literal["raw", "lz4", "zstd"] = "lz4"
    """How pixels are kept; vectors are always raw."""
    block: Annotated[int, ITEM_STEPS] = 40
    """Steps stored and compressed together."""
    folder: str = ""
    """Keep steps in scratch files in this folder instead of in memory; empty is in memory."""
