"""Targets: what Q(s, a) is trained towards, from Q values along a sequence.

All are computed on time-major tensors [rows, B] in true units (`unrescale`), and rescaled at the end. `end` [B] is
the row of the last observation that belongs to the item: nothing past it is read, and a return bootstraps from it.

| `learner.target` | G_t is | source |
|---|---|---|
| `n-step` | n rewards, then V of the state after them | R2D2 |
| `peng` | r_t + gamma (V + lambda (G - V)) of the next step: no correction | Kozuno et al. 2021 |
| `retrace` | r_t + gamma (V + c (G - Q)) with Q(s, a), c = lambda min(1, pi(a) / mu(a)) | Munos et al. 2016 |
| `watkins` | the same, c = lambda where Q >= V - kappa abs(V), else 0 | MEME (Kapturowski et al. 2023) |

V is the value of the policy that is learned: greedy, with `retrace` epsilon-greedy (`learner.target_epsilon`), with
`learner.munchausen` soft.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent.histograms import projected
from r2d2.agent.losses import Priority, length_mask, n_step_targets, rescale, unrescale
from r2d2.config.learner import LearnerConfig
from r2d2.types import Batch, SequenceLayout

PRIORITY_COLUMNS = ("reward", "terminated", "q_taken", "q_greedy")  # that initial priorities are made of


def targets(
    q: Tensor,
    q_target: Tensor,
    action: Tensor,
    reward: Tensor,
    terminated: Tensor,
    behavior: Tensor | None,
    end: Tensor,
    n: int,
    config: LearnerConfig,
) -> Tensor:
    """Targets [rows - n, B] in the network's units.

    `q` and `q_target` [rows, B, A] are the online and the target network's, or with `learner.bootstrap` online the
    online one's twice; `behavior` [rows, B] is the probability with which the actor chose its action (for
    `retrace`). The other arguments are those of `n_step_targets`.
    """
    chosen = action.long().unsqueeze(-1)
    best = (q if config.double else q_target).argmax(-1, keepdim=True)
    if config.munchausen == 0.0 and config.target != "retrace":  # two of the Q values are all that it takes
        value, taken = (in_true_units(q_target.gather(-1, at).squeeze(-1), config) for at in (best, chosen))
        return returns(reward, terminated, value, taken, None, behavior, end, n, config)
    values = in_true_units(q_target, config)
    taken = values.gather(-1, chosen).squeeze(-1)
    if config.munchausen > 0.0:
        value, log_policy = soft_values(values, config.munchausen_temperature)
        log_taken = log_policy.gather(-1, chosen).squeeze(-1)
        bonus = config.munchausen * munchausen_bonus(log_taken, config.munchausen_temperature)
        probability = log_taken.exp()
    else:
        bonus = None
        value = values.gather(-1, best).squeeze(-1).lerp(values.mean(-1), config.target_epsilon)
        greedy = (best == chosen).squeeze(-1).to(values.dtype)
        probability = epsilon_greedy(greedy, config.target_epsilon, values.shape[-1])
    return returns(reward, terminated, value, taken, probability, behavior, end, n, config, bonus)


def clipped(reward: Tensor, config: LearnerConfig) -> Tensor:
    """Rewards as the learner sees them."""
    return reward.clamp(-config.reward_clip, config.reward_clip) if config.reward_clip > 0 else reward


def in_true_units(q: Tensor, config: LearnerConfig) -> Tensor:
    """Q values as returns, whatever units the network has them in."""
    return unrescale(q) if config.rescaling else q


def epsilon_greedy(greedy: Tensor, epsilon: float, actions: int) -> Tensor:
    """The probability of actions that are `greedy` (1) or not (0).

    >>> epsilon_greedy(torch.tensor([1.0, 0.0]), 0.1, 2)
    tensor([0.9500, 0.0500])
    """
    return (1.0 - epsilon) * greedy + epsilon / actions


def returns(
    reward: Tensor,
    terminated: Tensor,
    value: Tensor,
    taken: Tensor,
    probability: Tensor | None,
    behavior: Tensor | None,
    end: Tensor,
    n: int,
    config: LearnerConfig,
    bonus: Tensor | None = None,
) -> Tensor:
    """Targets [rows - n, B] in the network's units, from what they are made of in true units, all [rows, B].

    That is the value V of each observation, Q(s, a), and the probability of the action under the policy that is
    learned and under the actor's (for `retrace`). A `bonus` is added to the rewards after they were clipped.
    """
    reward = clipped(reward, config)
    reward = reward if bonus is None else reward + bonus
    discount = config.discount * (1.0 - terminated.to(value.dtype))
    if config.target == "n-step":
        target = n_step_targets(reward, discount, value, end, n)
    else:
        trace = torch.full_like(value, config.trace_decay)
        baseline = value if config.target == "peng" else taken
        if config.target == "retrace":
            if behavior is None or probability is None:
                raise ValueError("retrace needs the probabilities of the actions [rows, B]")
            trace = trace * (probability / behavior).clamp(max=1.0)
        elif config.target == "watkins":
            trace = trace * (taken >= value - config.trace_tolerance * value.abs())
        target = lambda_returns(reward, discount, value, baseline, trace, end)[: len(reward) - n]
    if config.target_clip:
        target = target.clamp(-1.0 / (1.0 - config.discount), 0.0)
    return rescale(target) if config.rescaling else target


def return_histogram(
    probability: Tensor,
    returns: Tensor,
    bounds: tuple[float, float],
    reward: Tensor,
    terminated: Tensor,
    end: Tensor,
    n: int,
    config: LearnerConfig,
) -> Tensor:
    """The histogram [rows - n, B, K] that C51 is trained towards, over atoms that lie evenly between the `bounds`.

    `probability` [rows, B, K] are the target network's for the best action, and `returns` [K] what the atoms z
    stand for, h^-1(z) with value rescaling. Each goes to h(R + D h^-1(z)), where R is the sum of the n discounted
    rewards and D the product of their discounts, cut at `end` as in `n_step_targets`. Then all are `projected`.

    >>> histogram = return_histogram(
    ...     torch.tensor([0.0, 1.0, 0.0]).expand(2, 1, 3), torch.tensor([0.0, 1.0, 2.0]), (0.0, 2.0),
    ...     torch.tensor([[0.5], [0.0]]), torch.tensor([[False], [False]]), torch.tensor([1]), 1,
    ...     LearnerConfig(rescaling=False, discount=0.75))
    >>> histogram.flatten()
    tensor([0.0000, 0.7500, 0.2500])
    """
    total, keep, at = _steps(reward, terminated, end, n, config)
    place = _in_units(total + keep * returns, config)
    return projected(probability.gather(0, at.expand_as(place)), place, *bounds)


def return_quantiles(
    returns: Tensor, reward: Tensor, terminated: Tensor, end: Tensor, n: int, config: LearnerConfig
) -> Tensor:
    """The samples [rows - n, B, K], in the network's units, that quantiles are trained towards.

    `returns` [rows, B, K] are the target network's quantiles for the best action, in true units. Each goes to
    h(R + D return), as in `return_histogram`.

    >>> returns = torch.tensor([0.0, 2.0]).expand(2, 1, 2)
    >>> return_quantiles(returns, torch.tensor([[0.5], [0.0]]), torch.tensor([[False], [False]]), torch.tensor([1]),
    ...                  1, LearnerConfig(rescaling=False, discount=0.75)).flatten()
    tensor([0.5000, 2.0000])
    """
    total, keep, at = _steps(reward, terminated, end, n, config)
    return _in_units(total + keep * returns.gather(0, at.expand(-1, -1, returns.shape[-1])), config)


def _steps(
    reward: Tensor, terminated: Tensor, end: Tensor, n: int, config: LearnerConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """The n discounted rewards, the product of their discounts, and the row after them, each [rows - n, B, 1]."""
    reward = clipped(reward, config)
    discount = config.discount * (1.0 - terminated.to(reward.dtype))
    total = n_step_targets(reward, discount, torch.zeros_like(reward), end, n)
    keep = n_step_targets(torch.zeros_like(reward), discount, torch.ones_like(reward), end, n)
    row = torch.arange(len(total), device=reward.device).unsqueeze(1)
    at = torch.minimum(row + n, end.expand(len(total), -1))
    return total.unsqueeze(-1), keep.unsqueeze(-1), at.unsqueeze(-1)


def _in_units(returns: Tensor, config: LearnerConfig) -> Tensor:
    """Returns, clipped if asked for, in the network's units."""
    if config.target_clip:
        returns = returns.clamp(-1.0 / (1.0 - config.discount), 0.0)
    return rescale(returns) if config.rescaling else returns


def lambda_returns(
    reward: Tensor, discount: Tensor, value: Tensor, baseline: Tensor, trace: Tensor, end: Tensor
) -> Tensor:
    """G [rows, B], all arguments [rows, B] but `end` [B]:

    G[t] = reward[t] + discount[t] (value[t+1] + trace[t+1] (G[t+1] - baseline[t+1])) for t < end; the correction
    is left out where t + 1 is `end`, where no action was taken. Rows at or past `end` come out as their value: mask
    them.

    >>> one = torch.ones(4, 1)
    >>> lambda_returns(one, 0.5 * one, 8 * one, 8 * one, 1.0 * one, torch.tensor([3])).flatten()
    tensor([2.7500, 3.5000, 5.0000, 8.0000])
    >>> lambda_returns(one, 0.5 * one, 8 * one, 8 * one, 0.0 * one, torch.tensor([3])).flatten()
    tensor([5., 5., 5., 8.])
    """
    found = [value[-1]]
    for t in range(len(reward) - 2, -1, -1):
        correction = torch.where(t + 1 < end, trace[t + 1] * (found[-1] - baseline[t + 1]), 0.0)
        found.append(torch.where(t < end, reward[t] + discount[t] * (value[t + 1] + correction), value[t]))
    return torch.stack(found[::-1])


def soft_values(values: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """V = sum pi (Q - tau log pi) [...] and log pi [..., A] of pi = softmax(Q / tau).

    >>> value, log_policy = soft_values(torch.tensor([1.0, 1.0]), 0.5)
    >>> value, log_policy.exp()
    (tensor(1.3466), tensor([0.5000, 0.5000]))
    """
    logits = values / temperature
    return temperature * logits.logsumexp(-1), logits.log_softmax(-1)


def munchausen_bonus(log_probability: Tensor, temperature: float, lowest: float = -1.0) -> Tensor:
    """tau log pi(a|s), at least `lowest` (l_0): what Munchausen RL adds to a reward, times its alpha.

    Vieillard et al. (2020), section 3, with their l_0.

    >>> munchausen_bonus(torch.tensor([-0.5, -9.0, -100.0]), 0.03)
    tensor([-0.0150, -0.2700, -1.0000])
    """
    return (temperature * log_probability).clamp(min=lowest, max=0.0)


def initial_priorities(
    batch: Batch, config: LearnerConfig, layout: SequenceLayout, priority: Priority
) -> NDArray[np.float64]:
    """Priorities [K] of new items: those that the learner would have given with the actor's weights.

    With `retrace` they are those of the greedy policy (`target_epsilon` 0): the actor records no mean over actions.
    """
    column = {
        name: torch.from_numpy(batch.columns[name][:, layout.burn_in :]).T
        for name in (*PRIORITY_COLUMNS, "log_probability")
        if name in batch.columns
    }
    end = torch.from_numpy(batch.length + batch.lookahead - 1)
    value, taken = (in_true_units(column[name], config) for name in ("q_greedy", "q_taken"))
    probability = (column["q_taken"] == column["q_greedy"]).float()
    behavior = column["log_probability"].exp() if "log_probability" in column else None
    target = returns(
        column["reward"],
        column["terminated"],
        value,
        taken,
        probability,
        behavior,
        end,
        layout.n_step,
        config,
    )
    error = target - column["q_taken"][: layout.unroll]
    return priority(error, length_mask(torch.from_numpy(batch.length), layout.unroll)).double().numpy()
