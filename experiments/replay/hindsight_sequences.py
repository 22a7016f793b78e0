"""Hindsight inside recurrent sequences: bit flipping where the bits are seen once, at the first step.

Bit flipping (Andrychowicz et al. 2017, section 4.1) with hidden state, unpublished as far as we know: an agent
must remember what it saw and what it has flipped since, so items are sequences and the network is a GRU. A
copy has one goal for its whole sequence, in burn-in and lookahead too, and ends where that goal is reached.

Prediction: as in the task that is seen, hindsight learns where the same agent without it does not; without a
recurrent core hindsight does not help. Whole episodes begin in the state zero, which is right for every goal.
Windows of half an episode begin, after burn-in, in a state that the actor had under another goal: they should
learn as well, perhaps later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from experiments.replay.goal_runs import GoalRun, changed
from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds, select
from experiments.style import BLUE, GRAY, LIGHT, ORANGE
from r2d2.config import Config
from r2d2.config.presets import HER

BITS: dict[Tier, int] = {"quick": 4, "full": 6}
UPDATES: dict[Tier, int] = {"quick": 300, "full": 1000}
LOOKS: dict[Tier, int] = {"quick": 2, "full": 10}  # evaluations in a run
WIDTH: dict[Tier, int] = {"quick": 32, "full": 64}  # units of every layer; ours, as are all sizes here
RATE: dict[Tier, float] = {"quick": 1e-2, "full": 6e-3}  # of Adam
SOLVED = 0.8  # success; ours

ARMS: dict[Tier, tuple[str, ...]] = {
    "quick": ("episodes, hindsight", "episodes, none"),
    "full": ("episodes, hindsight", "windows, hindsight", "episodes, none", "no core, hindsight"),
}
COLORS = {
    "episodes, hindsight": ORANGE, "windows, hindsight": LIGHT, "episodes, none": BLUE,
    "no core, hindsight": GRAY,
}  # fmt: skip


def config(tier: Tier, arm: str, seed: int) -> Config:
    """Preset `her` with sequences and 2-step returns, on the blind task."""
    bits, width = BITS[tier], WIDTH[tier]
    half = bits // 2
    sizes: dict[str, Any] = {
        "replay__unroll": bits, "replay__period": bits, "replay__burn_in": 0, "replay__initial_state": "episode",
    }  # fmt: skip
    if arm.startswith("windows"):
        sizes = {
            "replay__unroll": half, "replay__period": half, "replay__burn_in": bits - half,
            "replay__initial_state": "stored",
        }  # fmt: skip
    return changed(
        HER, **sizes, env__id="BlindBitFlipping-v0", env__options={"bits": bits}, run__seed=seed,
        network__core="none" if arm.startswith("no core") else "gru", network__core_width=width,
        network__features=width, network__hidden=width, network__previous_inputs=True,
        replay__hindsight="none" if arm.endswith("none") else "future", replay__replay_ratio=40.0,
        replay__n_step=2, replay__steps=20_000, replay__min_steps=500,
        learner__batch=128 * bits // sizes["replay__unroll"], learner__target_period=20,
        learner__learning_rate=RATE[tier],
    )  # fmt: skip


def run(tier: Tier, seed: int) -> list[Row]:
    """Success over a run of every arm."""
    rows: list[Row] = []
    for arm in ARMS[tier]:
        part, looks = GoalRun(config(tier, arm, seed)), LOOKS[tier]
        for look in range(1, looks + 1):
            part.train(UPDATES[tier] * look // looks)
            rows.append({
                "arm": arm, "bits": BITS[tier], "updates": part.learner.updates, "steps": part.actor.steps,
                "success": part.success(),
            })  # fmt: skip
    return rows


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Learning curves."""
    for arm in distinct(rows, "arm"):
        curve(axes[0], rows, "updates", "success", label=arm, color=COLORS[arm], arm=arm)
    axes[0].set_xlabel("updates")
    axes[0].set_ylabel("share of greedy episodes that reach the goal")
    axes[0].set_ylim(-0.03, 1.03)
    axes[0].set_title(f"{rows[0]['bits']} bits, seen at the first step only")


def verdict(rows: list[Row]) -> Verdict:
    """With hindsight the recurrent agent solves the task, without it, or without memory, it does not."""
    end = select(rows, updates=max(distinct(rows, "updates")))
    found = {arm: over_seeds(end, "success", arm=arm) for arm in distinct(end, "arm")}
    best = found["episodes, hindsight"].mean
    others = [value.mean for arm, value in found.items() if not arm.startswith("windows")]
    holds = best >= SOLVED and sorted(others)[-2] < best / 2
    note = ""
    if "windows, hindsight" in found:
        note = f"windows that begin in states of another goal reach {found['windows, hindsight'].mean:.2f}."
    said = "; ".join(f"{arm} {value.mean:.2f}" for arm, value in found.items())
    return Verdict(
        holds, f"success at {rows[0]['bits']} bits after {end[0]['updates']} updates: {said}", note
    )


STUDY = Study(
    name="hindsight_sequences",
    method="hindsight in recurrent sequences",
    experiment="blind bit flipping",
    question="The bits are shown at the first step only, so the agent is recurrent and items are sequences. Does "
    "hindsight work there, with one goal for each copied sequence?",
    published="nothing (ours); on bits that are seen, DQN alone fails where hindsight learns (Andrychowicz et al. "
    "2017, Figure 1)",
    seeds={"quick": 1, "full": 5},
    run=run,
    plot=plot,
    verdict=verdict,
)
