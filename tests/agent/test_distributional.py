"""Laws of distributional heads: histograms against twins in Python floats, and updates that are made of them."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import same
from helpers import ACTIONS, PRIORITY, Setup, items_of, select
from run_cases import tiny
from test_fast_update import Waits
from test_losses import h, h_inverse
from test_targets import ITEMS, ROWS, N, case

from r2d2.agent.heads.distributional import C51, HLGauss
from r2d2.agent.histograms import projected, smoothed_histogram
from r2d2.agent.learner import Learner
from r2d2.agent.losses import length_mask
from r2d2.agent.networks import QNetwork
from r2d2.agent.quantiles import quantile_loss
from r2d2.agent.targets import initial_priorities, return_histogram, targets
from r2d2.config import check_config
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.types import Batch

SETUP = Setup(life_loss="roll")
ATOMS, LOW, HIGH = 11, -2.0, 3.0
KINDS = ["c51", "hl-gauss"]
HEADS = [*KINDS, "quantile"]
ATOM = [LOW + (HIGH - LOW) * k / (ATOMS - 1) for k in range(ATOMS)]


def network(head: str, seed: int = 0, **changes: Any) -> QNetwork:
    values = {"features": 8, "core_width": 5, "hidden": 8, "stack": SETUP.stack, "atoms": ATOMS}
    torch.manual_seed(seed)
    config = NetworkConfig(head=head, value_low=LOW, value_high=HIGH, **values)
    made = QNetwork(SETUP.observations, ACTIONS, config, **changes)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.0)
    return made


def learner_of(head: str, **changes: Any) -> tuple[Learner, Batch]:
    """Whose target network differs from the online one, and items of all kinds, played by the online one."""
    online = network(head)
    _, batch = items_of(SETUP, copy.deepcopy(online), steps=80)
    learner = SETUP.learner(online, **changes)
    learner.target.load_state_dict(network(head, 1).state_dict())
    return learner, select(batch, np.linspace(0, len(batch.ids) - 1, 7).astype(int))


def project_slowly(shares: list[float], places: list[float]) -> list[float]:
    """Bellemare et al. (2017), algorithm 1: each atom takes what is within one distance of it."""
    gap = ATOM[1] - ATOM[0]
    within = [min(max(place, LOW), HIGH) for place in places]
    return [
        sum(p * max(0.0, 1.0 - abs(at - z) / gap) for p, at in zip(shares, within, strict=True)) for z in ATOM
    ]


def gauss_slowly(value: float, deviation: float) -> list[float]:
    """Differences of the normal distribution function, over what of it is between the edges."""
    value, edges = min(max(value, LOW), HIGH), [LOW + (HIGH - LOW) * k / ATOMS for k in range(ATOMS + 1)]
    below = [0.5 * (1.0 + math.erf((edge - value) / deviation / math.sqrt(2.0))) for edge in edges]
    return [(b - a) / (below[-1] - below[0]) for a, b in itertools.pairwise(below)]


@pytest.mark.parametrize("rescaling", [True, False])
@pytest.mark.parametrize("more", [{}, {"reward_clip": 0.5}, {"target_clip": True, "discount": 0.5}])
def test_the_histogram_of_a_return_is_its_twins(rescaling: bool, more: dict[str, Any]) -> None:
    """To 1e-10 in float64 and to 1e-5 in float32, at every row of every item."""
    c, config = case(0), LearnerConfig(rescaling=rescaling, **more)
    shares = torch.randn(ROWS, ITEMS, ATOMS, generator=torch.Generator().manual_seed(1)).double().softmax(-1)
    into, back = (h, h_inverse) if rescaling else (float, float)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        returns = torch.tensor([back(z) for z in ATOM], dtype=dtype)
        reward, given = c["reward"].to(dtype), (c["terminated"], c["end"], N, config)
        found = return_histogram(shares.to(dtype), returns, (LOW, HIGH), reward, *given)
        assert found.shape == (ROWS - N, ITEMS, ATOMS)
        torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))
        for b in range(ITEMS):
            end = int(c["end"][b])
            for t in range(min(end, ROWS - N)):
                total, keep, m = 0.0, 1.0, min(N, end - t)
                for k in range(t, t + m):
                    r = float(c["reward"][k, b])
                    total += keep * (max(-0.5, min(0.5, r)) if config.reward_clip else r)
                    keep *= 0.0 if c["terminated"][k, b] else config.discount
                places = [total + keep * back(z) for z in ATOM]
                if config.target_clip:
                    places = [min(max(x, -1.0 / (1.0 - config.discount)), 0.0) for x in places]
                wanted = project_slowly(shares[t + m, b].tolist(), [into(x) for x in places])
                assert found[t, b].tolist() == pytest.approx(wanted, rel=tolerance, abs=tolerance)


def test_a_projection_keeps_the_mean_of_what_lies_within() -> None:
    """And the share of an atom that lies on another one."""
    place = torch.linspace(LOW, HIGH, 7).double()
    shares = torch.rand(7).double().softmax(-1)
    found = projected(shares, place, LOW, HIGH)
    atoms = torch.linspace(LOW, HIGH, 7).double()
    assert float(found @ atoms) == pytest.approx(float(shares @ place))
    torch.testing.assert_close(found, shares)
    torch.testing.assert_close(projected(shares, place + 99, LOW, HIGH)[-1], torch.tensor(1.0).double())


def test_the_histogram_of_a_value_is_its_twins() -> None:
    """Its mean is the value, where the whole Gaussian lies within."""
    values = [-99.0, LOW, -0.3, 0.0, 1.234, 2.9, 7.0]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        edges = torch.linspace(LOW, HIGH, ATOMS + 1, dtype=dtype)
        found = smoothed_histogram(torch.tensor(values, dtype=dtype), edges, 0.75 * 5 / ATOMS)
        for value, row in zip(values, found.tolist(), strict=True):
            wanted = gauss_slowly(value, 0.75 * 5 / ATOMS)
            assert row == pytest.approx(wanted, rel=tolerance, abs=tolerance)
    centers = 0.5 * (edges[1:] + edges[:-1])
    assert float(found[3] @ centers) == pytest.approx(0.0, abs=2e-3)


@torch.no_grad()
def test_q_values_are_means_of_returns() -> None:
    """Of C51 in true units, and then rescaled; of HL-Gauss in the units of its bins."""
    logits = 3 * torch.randn(4, ACTIONS, ATOMS)
    c51, gauss = (network(kind).head for kind in KINDS)
    assert isinstance(c51, C51)
    assert isinstance(gauss, HLGauss)
    centers = [LOW + (HIGH - LOW) * (k + 0.5) / ATOMS for k in range(ATOMS)]
    for i in range(4):
        for a in range(ACTIONS):
            p = logits[i, a].double().softmax(-1).tolist()
            mean = h(sum(x * h_inverse(z) for x, z in zip(p, ATOM, strict=True)))
            assert float(c51.expected(logits)[i, a]) == pytest.approx(mean, rel=1e-5, abs=1e-5)
            mean = sum(x * z for x, z in zip(p, centers, strict=True))
            assert float(gauss.expected(logits)[i, a]) == pytest.approx(mean, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("head", KINDS)
def test_the_loss_of_an_update_is_the_weighted_cross_entropy(head: str, double: bool) -> None:
    """Of the twins' histograms, and priorities are of the errors of expected values."""
    learner, batch = learner_of(head, double=double)
    data = learner.transfer(batch)
    online, target = learner.network, learner.target
    assert isinstance(online, QNetwork)
    assert isinstance(target, QNetwork)
    with torch.no_grad():
        found = learner.unroll(data)
        logits = torch.as_tensor(online.head.logits(found.trained))
        q = online.values(torch.cat([found.trained, found.lookahead]))
        q_target, p_target = target.values(found.target), target.head.logits(found.target).softmax(-1)
    action, reward, ended = (learner.after_burn_in(data, name) for name in ("action", "reward", "terminated"))
    end = data.length + data.lookahead - 1
    wanted = targets(q, q_target, action, reward, ended, None, end, SETUP.n_step, learner.config)
    loss = 0.0
    for b in range(len(batch.ids)):
        for t in range(int(batch.length[b])):
            m = min(SETUP.n_step, int(end[b]) - t)
            total, keep = 0.0, 1.0
            for k in range(t, t + m):
                total += keep * float(reward[k, b])
                keep *= 0.0 if ended[k, b] else learner.config.discount
            best = int((q if double else q_target)[t + m, b].argmax())
            places = [h(total + keep * h_inverse(z)) for z in ATOM]
            histogram = (
                project_slowly(p_target[t + m, b, best].tolist(), places)
                if head == "c51"
                else gauss_slowly(float(wanted[t, b]), 0.75 * (HIGH - LOW) / ATOMS)
            )
            log_p = logits[t, b, int(action[t, b])].double().log_softmax(-1).tolist()
            loss -= float(batch.weight[b]) * sum(x * y for x, y in zip(histogram, log_p, strict=True))
    errors = q[: SETUP.unroll].gather(-1, action[: SETUP.unroll].long().unsqueeze(-1)).squeeze(-1) - wanted
    update = learner.update(batch)
    assert update.metrics["loss"] == pytest.approx(loss / len(batch.ids), rel=1e-4)
    priorities = PRIORITY(errors, length_mask(data.length, SETUP.unroll))
    np.testing.assert_allclose(update.priorities, priorities, rtol=1e-4, atol=1e-5)


def quantile_slowly(quantiles: list[float], samples: list[float]) -> float:
    """Dabney et al. (2018), equations 9 and 10, with kappa = 1."""
    total, count = 0.0, len(quantiles)
    for i, theta in enumerate(quantiles):
        tau = (2 * i + 1) / (2 * count)
        for sample in samples:
            u = sample - theta
            size = 0.5 * u * u if abs(u) <= 1.0 else abs(u) - 0.5
            total += abs(tau - (u < 0)) * size / len(samples)
    return total


def test_the_quantile_loss_is_its_twins() -> None:
    """To 1e-10 in float64 and to 1e-5 in float32."""
    rng = torch.Generator().manual_seed(0)
    quantiles, samples = 2 * torch.randn(2, 20, 7, generator=rng)
    wanted = [quantile_slowly(q, s) for q, s in zip(quantiles.tolist(), samples.tolist(), strict=True)]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        found = quantile_loss(quantiles.to(dtype), samples.to(dtype))
        assert found.tolist() == pytest.approx(wanted, rel=tolerance)


def test_quantile_regression_finds_the_quantiles() -> None:
    """Of a distribution of two values, 0 with a share of 0.6: the ones below that share go to 0, the others to 8,
    but for what Huber's loss rounds off."""
    samples = torch.cat([torch.zeros(60), torch.full((40,), 8.0)])
    quantiles = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.SGD([quantiles], 0.5)
    for _ in range(800):
        optimizer.zero_grad()
        quantile_loss(quantiles, samples).backward()
        optimizer.step()
    torch.testing.assert_close(quantiles.detach(), torch.tensor([0.0, 0.0, 0.0, 8.0, 8.0]), rtol=0, atol=1.0)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("rescaling", [True, False])
def test_the_loss_of_an_update_is_the_weighted_quantile_loss(rescaling: bool, double: bool) -> None:
    """Of the twin's samples; Q values are h of the mean return."""
    into, back = (h, h_inverse) if rescaling else (float, float)
    online, other = (network("quantile", seed, rescaling=rescaling) for seed in (0, 1))
    _, batch = items_of(SETUP, copy.deepcopy(online), steps=80)
    batch = select(batch, np.linspace(0, len(batch.ids) - 1, 7).astype(int))
    learner = SETUP.learner(online, rescaling=rescaling, double=double)
    learner.target.load_state_dict(other.state_dict())
    data = learner.transfer(batch)
    with torch.no_grad():
        found = learner.unroll(data)
        every = torch.cat([found.trained, found.lookahead])
        own, theirs = online.head.logits(every), learner.target.head.logits(found.target)  # type: ignore[union-attr]
        q, q_target = online.values(every), learner.target.values(found.target)  # type: ignore[union-attr]
    expected = into(sum(back(x) for x in own[0, 0, 0].tolist()) / ATOMS)
    assert float(q[0, 0, 0]) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    action, reward, ended = (learner.after_burn_in(data, name) for name in ("action", "reward", "terminated"))
    end = data.length + data.lookahead - 1
    loss = 0.0
    for b in range(len(batch.ids)):
        for t in range(int(batch.length[b])):
            m = min(SETUP.n_step, int(end[b]) - t)
            total, keep = 0.0, 1.0
            for k in range(t, t + m):
                total += keep * float(reward[k, b])
                keep *= 0.0 if ended[k, b] else learner.config.discount
            best = int((q if double else q_target)[t + m, b].argmax())
            samples = [into(total + keep * back(z)) for z in theirs[t + m, b, best].tolist()]
            own_quantiles = own[t, b, int(action[t, b])].tolist()
            loss += float(batch.weight[b]) * quantile_slowly(own_quantiles, samples)
    assert learner.update(batch).metrics["loss"] == pytest.approx(loss / len(batch.ids), rel=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_first_priorities_are_those_of_the_learner(head: str) -> None:
    """With the actor's weights."""
    learner, batch = learner_of(head)
    learner.target.load_state_dict(learner.network.state_dict())
    first = initial_priorities(batch, learner.config, learner.layout, PRIORITY)
    np.testing.assert_allclose(learner.update(batch).priorities, first, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", ["stored", "zero", "refreshed"])
@pytest.mark.parametrize("head", HEADS)
def test_an_update_in_parts_is_the_update_and_goes_on_from_a_state(head: str, mode: Any) -> None:
    whole, batch = learner_of(head, initial_state=mode)
    split = copy.deepcopy(whole)
    split.config = LearnerConfig(**vars(whole.config) | {"gradient_accumulation_steps": 3})
    one, two = whole.update(batch), split.update(batch)
    np.testing.assert_allclose(one.priorities, two.priorities, rtol=1e-5, atol=1e-6)
    assert one.metrics == pytest.approx(two.metrics, rel=1e-5)
    resumed, _ = learner_of(head, initial_state=mode)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    np.testing.assert_array_equal(whole.update(batch).priorities, resumed.update(batch).priorities)
    assert same(whole.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("head", HEADS)
def test_nothing_waits_for_the_device(head: str) -> None:
    learner, batch = learner_of(head, asynchronous=True)
    learner.padded = True
    with Waits() as waits:
        learner.update(batch)
        assert waits.found == []


@pytest.mark.parametrize("head", HEADS)
def test_updates_bring_expected_values_to_their_targets(head: str) -> None:
    learner, batch = learner_of(head, learning_rate=1e-2, adam_epsilon=1e-8)
    sizes = [learner.update(batch).metrics["td_error"] for _ in range(60)]
    assert sizes[-1] < 0.8 * sizes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network__head": "c51", "learner__target": "peng"}, "c51 needs learner.target n-step"),
        ({"network__head": "c51", "learner__loss": "huber"}, "learner.loss must be squared"),
        ({"network__head": "hl-gauss", "replay__priority": "lap"}, "replay.priority mixed"),
        ({"network__head": "quantile"}, "learner.loss must be huber"),
        (
            {"network__head": "quantile", "learner__loss": "huber", "replay__priority": "lap"},
            "LAP is about TD errors",
        ),
        (
            {"network__head": "quantile", "learner__munchausen": 0.9, "replay__first_priority": "highest"},
            "munchausen 0",
        ),
        ({"network__head": "c51", "network__value_low": 10.0}, "value_low must be below"),
        ({"network__head": "c51", "network__atoms": 1}, r"network.atoms must be from 2"),
        ({"network__torso_width": 2}, "network.torso_width needs network.torso impala"),
    ],
)
def test_what_means_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(tiny(**changes))
    check_config(tiny(network__head="hl-gauss", learner__target="watkins"))


def test_a_network_in_other_units_than_its_learner_is_refused() -> None:
    learner = SETUP.learner(network("c51", rescaling=False))
    _, batch = learner_of("c51")
    with pytest.raises(ValueError, match="rescaling must be that of the LearnerConfig"):
        learner.update(batch)
