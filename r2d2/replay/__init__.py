"""Sequence replay as a library of its own: numpy in, numpy out, no torch."""

from r2d2.replay.draw import PendingBatch
from r2d2.replay.limiter import RateLimiter
from r2d2.replay.relabelers.hindsight import Hindsight
from r2d2.replay.removers.fifo import Fifo
from r2d2.replay.removers.lowest_priority import LowestPriority
from r2d2.replay.removers.remover import Remover
from r2d2.replay.removers.reservoir import Reservoir
from r2d2.replay.removers.soft_fifo import SoftFifo
from r2d2.replay.replay import Replay
from r2d2.replay.selectors.combined import Combined
from r2d2.replay.selectors.mixture import Mixture
from r2d2.replay.selectors.pending_mixture import PendingMixture
from r2d2.replay.selectors.proportional import Proportional
from r2d2.replay.selectors.rank_based import RankBased
from r2d2.replay.selectors.recency import Recency
from r2d2.replay.selectors.selector import Selector
from r2d2.replay.selectors.uniform import Uniform
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Batch, Column, Items

__all__ = [
    "Batch",
    "Column",
    "Combined",
    "Fifo",
    "Hindsight",
    "Items",
    "LowestPriority",
    "Mixture",
    "PendingBatch",
    "PendingMixture",
    "Proportional",
    "RankBased",
    "RateLimiter",
    "Recency",
    "Remover",
    "Replay",
    "Reservoir",
    "Selector",
    "Sequencer",
    "SoftFifo",
    "Uniform",
]
