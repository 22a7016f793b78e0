"""The law of the targets: each one against a slow twin in Python floats, written from the papers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_losses import h, h_inverse
from torch import Tensor

from r2d2.agent.losses import n_step_targets
from r2d2.agent.targets import lambda_returns, munchausen_bonus, soft_values, targets
from r2d2.config.learner import LearnerConfig

KINDS = ("n-step", "peng", "retrace", "watkins")
ROWS, ITEMS, ACTIONS, N = 9, 6, 4, 2


def case(seed: int) -> dict[str, Any]:
    """Q values, actions and rewards of items of every length, some with a terminal step."""
    rng = torch.Generator().manual_seed(seed)
    end = torch.tensor([8, 1, 5, 8, 3, 7])
    terminated = torch.zeros(ROWS, ITEMS, dtype=torch.bool)
    terminated[end[0] - 1, 0] = terminated[end[2] - 1, 2] = True
    return {
        "q": torch.randn(ROWS, ITEMS, ACTIONS, generator=rng),
        "q_target": torch.randn(ROWS, ITEMS, ACTIONS, generator=rng),
        "action": torch.randint(ACTIONS, (ROWS, ITEMS), generator=rng),
        "reward": 3 * torch.randn(ROWS, ITEMS, generator=rng),
        "terminated": terminated,
        "behavior": 0.05 + 0.95 * torch.rand(ROWS, ITEMS, generator=rng),
        "end": end,
    }


def twin(c: dict[str, Any], n: int, config: LearnerConfig) -> list[list[float | None]]:
    """Targets by item and row, None at and past the end."""
    into, back = (h, h_inverse) if config.rescaling else (float, float)
    found = []
    for b in range(ITEMS):
        end = int(c["end"][b])
        reward, value, taken, policy = [], [], [], []
        for t in range(ROWS):
            q = [back(float(x)) for x in c["q_target"][t, b]]
            by = c["q"] if config.double else c["q_target"]
            best, a = int(by[t, b].argmax()), int(c["action"][t, b])
            r = float(c["reward"][t, b])
            r = max(-config.reward_clip, min(config.reward_clip, r)) if config.reward_clip else r
            if config.munchausen:
                tau = config.munchausen_temperature
                top = max(q)
                total = sum(math.exp((x - top) / tau) for x in q)
                log_pi = [(x - top) / tau - math.log(total) for x in q]
                value.append(sum(math.exp(p) * (x - tau * p) for x, p in zip(q, log_pi, strict=True)))
                r += config.munchausen * min(0.0, max(-1.0, tau * log_pi[a]))
                policy.append(math.exp(log_pi[a]))
            elif config.target == "retrace":
                e = config.target_epsilon
                value.append((1 - e) * q[best] + e * sum(q) / ACTIONS)
                policy.append((1 - e) * (a == best) + e / ACTIONS)
            else:
                value.append(q[best])
                policy.append(float(a == best))
            reward.append(r)
            taken.append(q[a])
        gamma = [0.0 if c["terminated"][t, b] else config.discount for t in range(ROWS)]

        trace = []
        for t in range(ROWS):
            going = 1.0
            if config.target == "retrace":
                going = min(1.0, policy[t] / float(c["behavior"][t, b]))
            elif config.target == "watkins":
                going = float(taken[t] >= value[t] - config.trace_tolerance * abs(value[t]))
            trace.append(config.trace_decay * going)

        row: list[float | None] = []
        for t in range(ROWS - n):
            if t >= end:
                row.append(None)
                continue
            if config.target == "n-step":
                m = min(n, end - t)
                total = sum(math.prod(gamma[t : t + k]) * reward[t + k] for k in range(m))
                row.append(into(total + math.prod(gamma[t : t + m]) * value[t + m]))
                continue
            if config.target == "peng":  # as a mixture of all n-step returns
                total, weight = 0.0, 1.0
                for m in range(1, end - t + 1):
                    part = sum(math.prod(gamma[t : t + k]) * reward[t + k] for k in range(m))
                    part += math.prod(gamma[t : t + m]) * value[t + m]
                    share = weight * ((1 - config.trace_decay) if t + m < end else 1.0)
                    total += share * part
                    weight *= config.trace_decay
                row.append(into(total))
                continue
            total, product = taken[t], 1.0  # the sum of corrected TD errors
            for k in range(t, end):
                product *= 1.0 if k == t else gamma[k - 1] * trace[k]
                total += product * (reward[k] + gamma[k] * value[k + 1] - taken[k])
            row.append(into(total))
        found.append(row)
    return found


def ours(c: dict[str, Any], n: int, config: LearnerConfig, dtype: torch.dtype) -> Tensor:
    cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in c.items()}
    return targets(**cast, n=n, config=config)


@pytest.mark.parametrize("munchausen", [0.0, 0.9])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_target_is_its_twins(kind: Any, munchausen: float, seed: int) -> None:
    """To 1e-10 in float64 and to 1e-5 in float32, at every row of every item, and nothing past its end is read."""
    c = case(seed)
    for more in ({}, {"rescaling": False, "double": False, "reward_clip": 1.0, "trace_tolerance": 0.5}):
        # A temperature at which the policy is not one-hot.
        config = LearnerConfig(
            target=kind, munchausen=munchausen, munchausen_temperature=0.5, target_epsilon=0.2, **more
        )
        wanted = twin(c, N, config)
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            found = ours(c, N, config, dtype)
            assert found.shape == (ROWS - N, ITEMS)
            for b, row in enumerate(wanted):
                for t, value in enumerate(row):
                    if value is not None:
                        assert float(found[t, b]) == pytest.approx(value, rel=tolerance, abs=tolerance)
            spoiled = {k: v.clone() for k, v in c.items()}
            for b, end in enumerate(c["end"].tolist()):
                for name in ("q", "q_target"):
                    spoiled[name][end + 1 :, b] = math.nan
                for name in ("reward", "behavior"):  # the last observation has no action
                    spoiled[name][end:, b] = math.nan
            again = ours(spoiled, N, config, dtype)
            for b, end in enumerate(c["end"].tolist()):
                assert torch.equal(again[:end, b], found[:end, b])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["peng", "retrace", "watkins"]))
def test_without_a_trace_all_are_one_step_targets(seed: int, kind: Any) -> None:
    c = case(seed)
    config = LearnerConfig(target=kind, trace_decay=0.0, target_epsilon=0.0)
    one = LearnerConfig(target="n-step")
    inside = torch.arange(ROWS - 1)[:, None] < c["end"]
    wanted, found = ours(c, 1, one, torch.float64), ours(c, 1, config, torch.float64)
    torch.testing.assert_close(found[inside], wanted[inside])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_with_a_full_trace_on_its_own_policy_retrace_is_the_whole_return(seed: int) -> None:
    """As Watkins' is where all actions are greedy, and Peng's always."""
    c = case(seed)
    c["action"] = c["q"].argmax(-1)
    c["behavior"] = torch.ones(ROWS, ITEMS)
    inside = torch.arange(ROWS - 1)[:, None] < c["end"]
    whole = LearnerConfig(target="n-step")
    padded = {k: torch.cat([v, v[-1:].expand(ROWS, *v.shape[1:])]) if k != "end" else v for k, v in c.items()}
    wanted = ours(padded, ROWS, whole, torch.float64)[: ROWS - 1]
    peng = LearnerConfig(target="peng", trace_decay=1.0)
    torch.testing.assert_close(ours(c, 1, peng, torch.float64)[inside], wanted[inside])
    c["q_target"] = c["q"]  # Q(s, a) is V
    padded["q_target"] = torch.cat([c["q"], c["q"][-1:].expand(ROWS, -1, -1)])
    wanted = ours(padded, ROWS, whole, torch.float64)[: ROWS - 1]
    for kind in ("retrace", "watkins"):
        config = LearnerConfig(target=kind, trace_decay=1.0, target_epsilon=0.0)
        torch.testing.assert_close(ours(c, 1, config, torch.float64)[inside], wanted[inside])


def test_a_trace_of_one_is_the_uncorrected_return() -> None:
    rng = torch.Generator().manual_seed(0)
    reward, value = torch.randn(2, 7, 3, generator=rng, dtype=torch.float64)
    discount, end = torch.full_like(reward, 0.9), torch.tensor([6, 3, 1])
    found = lambda_returns(reward, discount, value, value, torch.ones_like(reward), end)
    rows = [torch.cat([x, torch.zeros_like(x)]) for x in (reward, discount, value)]
    wanted = n_step_targets(*rows, end, 7)
    for b, last in enumerate(end.tolist()):
        torch.testing.assert_close(found[:last, b], wanted[:last, b])


def test_a_soft_value_goes_to_the_best_as_the_temperature_falls() -> None:
    values = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.float64)
    cold, log_policy = soft_values(values, 1e-3)
    assert float(cold) == pytest.approx(3.0)
    np.testing.assert_allclose(log_policy.exp().numpy(), [[0.0, 1.0, 0.0]], atol=1e-12)
    warm, _ = soft_values(values, 1.0)
    assert float(warm) > 3.0  # by the entropy
    assert torch.isfinite(soft_values(torch.tensor([1e5, -1e5]), 0.03)[1]).all()
    assert float(munchausen_bonus(torch.tensor(-1e9), 0.03)) == -1.0


def test_retrace_without_probabilities_is_refused() -> None:
    c = case(0)
    c["behavior"] = None
    with pytest.raises(ValueError, match="retrace needs the probabilities"):
        targets(**c, n=1, config=LearnerConfig(target="retrace"))
