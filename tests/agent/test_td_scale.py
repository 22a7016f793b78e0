"""Laws of the scale of TD errors and of the trust region: each equals a twin in Python floats."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Setup, recompute
from test_learner import case, reference_errors
from torch import Tensor

from r2d2.agent.learner import Learner
from r2d2.agent.td_scale import batch_moments, moved, outside_trust_region, td_scale
from r2d2.config import Config, check_config
from r2d2.config.presets import preset
from r2d2.types import Batch

SETUP = Setup(life_loss="roll", burn_in=3)


def spread(errors: list[float]) -> float:
    """The standard deviation, in float64."""
    mean = math.fsum(errors) / len(errors)
    return math.sqrt(math.fsum((e - mean) ** 2 for e in errors) / len(errors))


def running_spread(history: list[list[float]], rate: float) -> float:
    """That of all batches so far, of which the newest has the share `rate`, by its definition."""
    if not history:
        return 0.0
    shares = [rate * (1 - rate) ** k for k in range(len(history))][::-1]
    total = math.fsum(shares)
    mean = math.fsum(s * math.fsum(e) / len(e) for s, e in zip(shares, history, strict=True)) / total
    square = math.fsum(
        s * math.fsum((x - mean) ** 2 for x in e) / len(e) for s, e in zip(shares, history, strict=True)
    )
    return math.sqrt(square / total)


@pytest.mark.parametrize("seed", range(5))
def test_sigma_equals_its_twin(seed: int) -> None:
    """Over batches of different spreads and lengths, to 1e-5 in float32."""
    rng, rate, least = torch.Generator().manual_seed(seed), 0.05, 0.3
    running, history = torch.zeros(3), []
    for step in range(12):
        error = torch.randn(7, 5, generator=rng) * 3.0 ** (step % 4 - 1) + 0.2
        mask = (torch.rand(7, 5, generator=rng) < 0.7).float()
        mask[0] = 1.0
        kept = error[mask == 1].double().tolist()
        batch = batch_moments(error, mask)
        expected = max(running_spread(history, rate), spread(kept), least)
        assert float(td_scale(running, batch, least)) == pytest.approx(expected, rel=1e-5)
        running = moved(running, batch, rate)
        history.append(kept)
    assert float(td_scale(running, running, 1e9)) == 1e9


@pytest.mark.parametrize("alpha", [0.1, 1.0, 3.0])
def test_the_trust_region_equals_its_twin(alpha: float) -> None:
    rng = torch.Generator().manual_seed(1)
    q, q_target, target = torch.randn(3, 50, 4, generator=rng)
    found = outside_trust_region(q, q_target, target, torch.tensor(alpha))
    for out, online, old, goal in zip(
        *(x.flatten().tolist() for x in (found, q, q_target, target)), strict=True
    ):
        above, rises = online > old, goal > online
        assert out == (abs(online - old) > alpha and above == rises)
    assert 0 < found.sum() < found.numel() or alpha == 3.0


def twin_update(
    learner: Learner, batch: Batch, history: list[list[float]]
) -> tuple[float, list[float], float, float]:
    """Loss, priorities, sigma and the share of trusted steps of an update, in Python floats; adds to `history`."""
    c, rows = learner.config, range(len(batch.ids))
    errors = [[float(e.detach()) for e in reference_errors(learner, batch, b, SETUP)] for b in rows]
    every = [e for item in errors for e in item]
    sigma = max(running_spread(history, c.td_deviation_rate), spread(every), c.td_deviation_floor)
    history.append(every)
    total, trusted, priorities = 0.0, 0, []
    for b in rows:
        online, old = (recompute(network, batch, b, SETUP) for network in (learner.network, learner.target))
        scaled = [e / sigma if c.normalize_td_errors else e for e in errors[b]]
        for t, error in enumerate(errors[b]):
            row = SETUP.burn_in + t
            action = int(batch.columns["action"][b, row])
            away = float((online[row][action] - old[row][action]).detach())
            further = (away > 0) == (error < 0)  # error is Q - target
            if c.trust_region and abs(away) > c.trust_region * sigma and further:
                continue
            trusted += 1
            total += float(batch.weight[b]) * 0.5 * scaled[t] ** 2
        size = [abs(e) for e in scaled]
        priorities.append(0.7 * max(size) + 0.3 * sum(size) / len(size))
    return total / len(batch.ids), priorities, sigma, trusted / len(every)


@pytest.mark.parametrize(
    "changes",
    [
        {"normalize_td_errors": True},
        {"trust_region": 0.3},
        {"normalize_td_errors": True, "trust_region": 0.1, "td_deviation_rate": 0.5},
        {"normalize_td_errors": True, "td_deviation_floor": 50.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_updates_equal_the_twin(changes: dict[str, Any], asynchronous: bool) -> None:
    """Several in a row, so that the running deviation matters, in batches whose rewards become smaller."""
    learner, batch = case(SETUP, asynchronous=asynchronous, **changes)
    history: list[list[float]] = []
    shares = []
    for step in range(4):
        rewards = batch.columns["reward"] * np.float32(0.3**step)
        given = dataclasses.replace(batch, columns={**batch.columns, "reward": rewards})
        loss, priorities, sigma, share = twin_update(learner, given, history)
        update = learner.update(given)
        assert update.metrics["loss"] == pytest.approx(loss, rel=1e-4)
        assert update.metrics["td_scale"] == pytest.approx(sigma, rel=1e-5)
        assert update.metrics["trusted"] == pytest.approx(share)
        np.testing.assert_allclose(update.priorities, priorities, rtol=1e-4, atol=1e-5)
        shares.append(share)
    assert (min(shares) < 0.95) is ("trust_region" in changes)


def gradient(learner: Learner, batch: Batch) -> list[Tensor]:
    learner.optimizer.step = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    learner.update(batch)
    return [p.grad.clone() for p in learner.network.parameters() if p.grad is not None]


def test_the_gradient_does_not_depend_on_the_scale_of_values() -> None:
    """With sigma of the batch alone, the gradient of errors that are k times as large is as large: half the square
    of a divided error has 1 / sigma^2 in front."""
    learner, batch = case(SETUP, normalize_td_errors=True)
    plain, _ = case(SETUP)
    sigma = learner.update(batch).metrics["td_scale"]
    learner, _ = case(SETUP, normalize_td_errors=True)
    for mine, other in zip(gradient(learner, batch), gradient(plain, batch), strict=True):
        torch.testing.assert_close(mine * sigma**2, other, rtol=1e-4, atol=1e-6)


def test_a_step_outside_the_trust_region_has_no_gradient() -> None:
    """With everything outside that moves further off, what is left leads back to the target network."""
    learner, batch = case(SETUP, trust_region=1e-6)
    share = learner.update(batch).metrics["trusted"]
    assert 0.2 < share < 0.99
    alone, _ = case(SETUP, trust_region=1e-6)
    alone.target.load_state_dict(alone.network.state_dict())  # then nothing has moved
    assert alone.update(batch).metrics["trusted"] == 1.0


def test_bootstrapping_from_the_online_network() -> None:
    """Errors are those that there were if the target network were the online one."""
    learner, batch = case(SETUP, bootstrap="online")
    other, _ = case(SETUP)
    other.target.load_state_dict(other.network.state_dict())
    found, expected = learner.errors(batch).error, other.errors(batch).error
    assert torch.equal(found, expected)
    assert not torch.equal(found, case(SETUP)[0].errors(batch).error)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_update_that_is_not_finite_leaves_the_moments(asynchronous: bool) -> None:
    learner, batch = case(SETUP, normalize_td_errors=True, asynchronous=asynchronous)
    learner.update(batch).wait()
    before = copy.deepcopy(learner.method.state_dict())
    assert before["td_moments"][0] > 0
    rewards = np.full_like(batch.columns["reward"], np.inf)
    with pytest.raises(FloatingPointError):
        learner.update(dataclasses.replace(batch, columns={**batch.columns, "reward": rewards})).wait()
    assert torch.equal(learner.method.state_dict()["td_moments"], before["td_moments"])


def test_the_moments_go_on_from_a_state() -> None:
    learner, batch = case(SETUP, normalize_td_errors=True)
    learner.update(batch)
    other, _ = case(SETUP, normalize_td_errors=True)
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    assert learner.update(batch).metrics == other.update(batch).metrics
    assert "td_moments" not in case(SETUP)[0].state_dict()
    fresh, _ = case(SETUP, normalize_td_errors=True)
    fresh.load_state_dict(case(SETUP)[0].state_dict())  # of a run that did without
    assert not fresh.method.state_dict()["td_moments"].any()


REFUSED = {
    "r2d2+td-normalization": {"replay.first_priority": "actor"},
    "r2d2+trust-region": {"learner.gradient_accumulation_steps": 2},
    "r2d2+c51": {"learner.trust_region": 2.0},
    "r2d2+hl-gauss": {"learner.bootstrap": "online"},
    "sac": {"learner.normalize_td_errors": True, "replay.first_priority": "highest"},
    "rtd3": {"learner.bootstrap": "online"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_it_is_refused(name: str) -> None:
    config: Config = preset(name)
    check_config(config)
    for field, value in REFUSED[name].items():
        section, _, key = field.partition(".")
        changed = dataclasses.replace(getattr(config, section), **{key: value})
        config = dataclasses.replace(config, **{section: changed})
    with pytest.raises(ValueError, match=r"normalize_td_errors|trust_region|bootstrap"):
        check_config(config)
