"""Laws of what a local run hands on to its parts: the exponents of every draw, and what first priorities are made
of. Each is computed again from the config, with none of the code that hands it on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from run_cases import new_run, tiny

from r2d2.config import Config
from r2d2.types import Batch


def test_every_draw_has_the_exponents_of_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beta rises and alpha falls over the first 200 environment steps, alpha in a hundred stages; the importance
    weights of the batch are those of that beta."""
    config = tiny(
        replay__beta=0.4, replay__beta_end=0.9, replay__beta_steps=200, replay__alpha=0.8, replay__alpha_end=0.2,
        replay__alpha_steps=200, replay__stratified=False,
    )  # fmt: skip
    run = new_run(config, tmp_path)
    replay: Any = run.replay
    draw, betas = replay.draw, []

    def spy(n: int, rng: np.random.Generator, *, beta: float, out: Batch | None) -> Any:
        share = min(1.0, run.actor.steps / 200)
        assert beta == pytest.approx(0.4 + 0.5 * share)
        assert replay.selector.alpha == pytest.approx(0.8 - 0.6 * math.floor(100 * share) / 100)
        pending = draw(n, rng, beta=beta, out=out)
        batch = pending.result()
        assert batch.weight == pytest.approx((batch.probability.min() / batch.probability) ** beta, rel=1e-5)
        betas.append(beta)
        return pending

    monkeypatch.setattr(replay, "draw", spy)
    while run.actor.steps < 260:
        run.act(cut=False)
        run._learn()
    assert len(set(betas)) >= 10
    assert betas[0] < 0.6
    assert betas[-1] == 0.9


CONFIGS = {
    "clipped rewards, plain Q": {"learner__reward_clip": 0.25, "learner__rescaling": False},
    "rescaled Q": {"learner__rescaling": True},
    "clipped and rescaled, three steps": {"learner__reward_clip": 0.5, "replay__n_step": 3},
    "lap": {"replay__priority": "lap", "learner__rescaling": False, "learner__reward_clip": 0.5},
    "clipped targets": {"learner__target_clip": True, "learner__rescaling": False},
}


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_first_priorities_are_made_of_the_learners_numbers(changes: dict[str, Any], tmp_path: Path) -> None:
    """Those that a run gives new items, and the numbers with which a slow twin finds them: eta, discount, the
    length of returns, reward and target clipping, rescaling and the formula."""
    config = tiny(
        learner__discount=0.8, replay__eta=0.3, run__steps=10**4, replay__min_steps=10**4, **changes
    )
    run = new_run(config, tmp_path)
    replay, given = run.replay, {}
    update = replay.update_priorities

    def spy(ids: NDArray[np.int64], priorities: NDArray, *, initial: bool = False) -> None:
        assert initial
        given.update(zip(ids.tolist(), priorities.tolist(), strict=True))
        update(ids, priorities, initial=initial)

    run.replay.update_priorities = spy  # type: ignore[method-assign]
    for _ in range(60):
        run.act(cut=False)
    batch = replay.get(np.array(sorted(given)))
    assert len(batch.ids) > 10
    assert len(set(batch.length.tolist())) > 1
    for b, id_ in enumerate(batch.ids.tolist()):
        assert given[id_] == pytest.approx(twin(config, batch, b), rel=1e-4, abs=1e-5), f"item {id_}"


def twin(config: Config, batch: Batch, b: int) -> float:
    """The priority of item b, one step at a time."""
    c, r = config.learner, config.replay
    column = {name: values[b, r.burn_in :].tolist() for name, values in batch.columns.items()}
    end = int(batch.length[b] + batch.lookahead[b] - 1)
    sizes = []
    for t in range(int(batch.length[b])):
        goal, keep = 0.0, 1.0
        for k in range(t, min(t + r.n_step, end)):
            reward = column["reward"][k]
            clipped = min(max(reward, -c.reward_clip), c.reward_clip) if c.reward_clip else reward
            goal += keep * clipped
            keep *= 0.0 if column["terminated"][k] else c.discount
        value = column["q_greedy"][min(t + r.n_step, end)]
        goal += keep * (h_inverse(value) if c.rescaling else value)
        goal = min(max(goal, -1 / (1 - c.discount)), 0.0) if c.target_clip else goal
        error = abs((h(goal) if c.rescaling else goal) - column["q_taken"][t])
        sizes.append(max(error, 1.0) if r.priority == "lap" else error)
    return r.eta * max(sizes) + (1 - r.eta) * sum(sizes) / len(sizes)


def h(x: float) -> float:
    """As printed in the paper."""
    return math.copysign(math.sqrt(abs(x) + 1) - 1, x) + 1e-3 * x


def h_inverse(y: float) -> float:
    """As printed by Pohlen et al. (2018), proposition A.2."""
    root = (math.sqrt(1 + 4e-3 * (abs(y) + 1 + 1e-3)) - 1) / 2e-3
    return math.copysign(root**2 - 1, y)
