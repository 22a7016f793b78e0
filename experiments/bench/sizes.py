"""The sizes of the benchmark's parts: the full tier, and a quick one that only shows that it runs."""

from __future__ import annotations

from dataclasses import dataclass

# Nine games from nearly still (Breakout) to scrolling over the whole screen (BattleZone, Enduro).
GAMES = (
    "Pong", "Breakout", "MsPacman", "Seaquest", "Qbert", "Riverraid", "SpaceInvaders", "Enduro", "BattleZone",
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Numbers that all parts share; the defaults are the full tier.

    `recorded` rows of `streams` environments are real frames; anything longer repeats them.
    """

    games: tuple[str, ...] = GAMES
    streams: int = 64  # environments of one write call
    recorded: int = 2000  # steps of each stream; a multiple of the block, so blocks recur byte for byte
    burn_in: int = 40
    unroll: int = 80
    n_step: int = 5
    period: int = 40
    core: int = 1024  # floats: an LSTM of 512 has h and c
    batch: int = 64  # sequences
    held: int = 100_000  # steps held while sequence batches are timed
    paper: int = 4_000_000  # steps of the paper's replay
    growth: tuple[int, ...] = (10_000, 30_000, 100_000, 300_000, 1_000_000, 4_000_000)  # steps held
    items: int = 1_000_000  # transitions held, and leaves of the sum trees
    environments: tuple[int, ...] = (1, 8, 64, 1024)  # of one addition of transitions
    batches: tuple[int, ...] = (1, 32, 256, 2048)  # transitions
    starts: int = 3  # processes that are timed from their start, twice each
    draws: int = 60_000_000  # of rare leaves
    repeats: int = 40  # timings of a sequence batch
    small_repeats: int = 300  # timings of a transition batch
    seconds: float = 5.0  # of a writer and a reader at once
    budget: float = 400.0  # seconds after which our replay grows no further
    rival_budget: float = 40.0  # and a rival, so that the whole benchmark ends within half an hour
    limit: float = 600.0  # seconds after which a job of ours is stopped
    rival_limit: float = 100.0  # and a rival's: it then counts as too slow for that part
    blocks: int = 200  # blocks a game in the codec study

    @property
    def rows(self) -> int:
        """Rows of one sequence without frame stacking."""
        return self.burn_in + self.unroll + self.n_step


FULL = Sizes()
QUICK = Sizes(
    games=("Pong", "Breakout"),
    streams=8,
    recorded=200,
    core=16,
    batch=4,
    held=3200,
    paper=4000,
    growth=(1600, 3200),
    items=4000,
    draws=200_000,
    environments=(1, 8, 1024),
    starts=1,
    repeats=3,
    small_repeats=5,
    seconds=0.2,
    budget=10.0,
    limit=600.0,
    blocks=8,
)
TIERS = {"full": FULL, "quick": QUICK}
