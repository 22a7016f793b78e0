"""Laws of one update: it equals a scalar reference, and only what should matters."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import same
from helpers import Setup, inputs_of, items_of, recompute, select
from test_losses import h, h_inverse
from test_losses import slow_target as reference_target
from torch import Tensor, nn

from r2d2.agent.learner import Learner
from r2d2.agent.losses import Priority, length_mask
from r2d2.agent.networks import QNetwork
from r2d2.runtime.restored import check_learner
from r2d2.types import Batch

SETUPS = {
    "lstm": Setup(life_loss="roll"),
    "gru, long burn-in": Setup(core="gru", burn_in=9),
    "no burn-in": Setup(burn_in=0, n_step=5),
    "feed-forward frames": Setup(core="none", shape=(24, 24), dtype="uint8", stack=3),
    "frozen context": Setup(shape=(24, 24), dtype="uint8", stack=3, frozen=6),
    "one trained step": Setup(unroll=1, period=1, burn_in=2, n_step=2),
}


def case(setup: Setup, items: int = 12, **changes: Any) -> tuple[Learner, Batch]:
    """A learner whose target network differs from the online one, and some items of all kinds."""
    network = setup.network(0)
    _, batch = items_of(setup, network, steps=80)
    learner = setup.learner(setup.network(1), **changes)
    learner.target.load_state_dict(setup.network(2).state_dict())
    chosen = np.linspace(0, len(batch.ids) - 1, items).astype(int)
    return learner, dataclasses.replace(
        select(batch, chosen), weight=np.linspace(0.2, 1, items, dtype=np.float32)
    )


def reference_errors(learner: Learner, batch: Batch, b: int, setup: Setup) -> list[Tensor]:
    """TD errors of item b's valid steps, from the paper's formulas, one step at a time."""
    online, target = (recompute(network, batch, b, setup) for network in (learner.network, learner.target))
    column = {
        name: values[b, setup.burn_in :] for name, values in batch.columns.items() if name != "observation"
    }
    length, end = int(batch.length[b]), int(batch.length[b] + batch.lookahead[b] - 1)
    value = [0.0] * (end + 1)
    for t in range(end + 1):
        best = int(online[setup.burn_in + t].argmax())
        value[t] = h_inverse(float(target[setup.burn_in + t][best]))
    discount = [learner.config.discount * (1 - bool(flag)) for flag in column["terminated"]]
    errors = []
    for t in range(length):
        goal = h(reference_target(column["reward"].tolist(), discount, value, t, end, setup.n_step))
        errors.append(online[setup.burn_in + t][int(column["action"][t])] - goal)
    return errors


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_errors_loss_and_priorities_equal_the_reference(setup: Setup) -> None:
    """Burn-in of each network with its own weights, double Q, h, masks, weights: all in Python floats."""
    learner, batch = case(setup)
    errors, _, mask = learner.errors(batch)[:3]
    total = 0.0
    expected = []
    for b in range(len(batch.ids)):
        reference = [float(error.detach()) for error in reference_errors(learner, batch, b, setup)]
        assert int(mask[:, b].sum()) == len(reference)
        np.testing.assert_allclose(errors[: len(reference), b].detach(), reference, rtol=1e-4, atol=1e-5)
        total += float(batch.weight[b]) * sum(0.5 * error**2 for error in reference)
        size = [abs(error) for error in reference]
        expected.append(0.7 * max(size) + 0.3 * sum(size) / len(size))
    update = learner.update(batch)
    assert update.metrics["loss"] == pytest.approx(total / len(batch.ids), rel=1e-4)
    np.testing.assert_allclose(update.priorities, expected, rtol=1e-4, atol=1e-5)


def test_loss_and_priority_are_those_that_were_asked_for() -> None:
    """Huber and LAP from the same errors, of which some are beyond 1 and some are not."""
    setup = Setup()
    _, batch = case(setup)
    columns = dict(batch.columns) | {"reward": batch.columns["reward"] * np.float32(0.4)}
    batch = dataclasses.replace(batch, columns=columns)
    learner = setup.learner(setup.network(1), Priority("lap", eta=0.7), loss="huber")
    error, _, mask = learner.errors(batch)[:3]
    update = learner.update(batch)
    size = error.detach().abs()
    assert 0.2 < ((size > 1) * mask).sum() / mask.sum() < 0.9
    each = torch.where(size < 1, size.square() / 2, size - 0.5) * mask
    assert update.metrics["loss"] == pytest.approx(
        float((each.sum(0) * torch.from_numpy(batch.weight)).mean()), rel=1e-5
    )
    clipped = size.clamp_min(1.0) * mask
    expected = 0.7 * clipped.amax(0) + 0.3 * clipped.sum(0) / mask.sum(0)
    np.testing.assert_allclose(update.priorities, expected, rtol=1e-5)


def gradients(learner: Learner, batch: Batch) -> list[Tensor]:
    error, _, mask = learner.errors(batch)[:3]
    loss = ((0.5 * error.square() * mask).sum(0) * torch.from_numpy(batch.weight)).mean()
    return list(torch.autograd.grad(loss, list(learner.network.parameters()), allow_unused=True))


def detached_reference(learner: Learner, batch: Batch, setup: Setup) -> list[Tensor]:
    """Gradients of the reference loss in which the state after burn-in is a constant."""
    network = learner.network
    total = torch.zeros(())
    for b in range(len(batch.ids)):
        goals = [float(q.detach()) for q in reference_goals(learner, batch, b, setup)]
        with torch.no_grad():
            state = torch.from_numpy(batch.core[b : b + 1])
            for row in range(setup.burn_in - int(batch.burn_in[b]), setup.burn_in):
                state = step(network, batch, b, row, state, setup)[1]
        for t, goal in enumerate(goals):
            q, state = step(network, batch, b, setup.burn_in + t, state, setup)
            action = int(batch.columns["action"][b, setup.burn_in + t])
            total = total + float(batch.weight[b]) * 0.5 * (q[0, action] - goal) ** 2
    loss = total / len(batch.ids)
    return list(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))


def reference_goals(learner: Learner, batch: Batch, b: int, setup: Setup) -> list[Tensor]:
    online = recompute(learner.network, batch, b, setup)
    errors = reference_errors(learner, batch, b, setup)
    actions = batch.columns["action"][b, setup.burn_in :]
    return [online[setup.burn_in + t][int(actions[t])] - error for t, error in enumerate(errors)]


def step(
    network: QNetwork, batch: Batch, b: int, row: int, state: Tensor, setup: Setup
) -> tuple[Tensor, Tensor]:
    frames = torch.from_numpy(batch.columns["observation"][b, row : row + setup.stack]).flatten()
    action = torch.tensor([[int(batch.columns["previous_action"][b, row])]])
    reward = torch.tensor([[float(batch.columns["previous_reward"][b, row])]])
    return network.step(inputs_of(frames[None, None], action, reward), state)


def test_no_gradient_flows_through_burn_in_and_all_of_it_through_the_unroll() -> None:
    """The gradient is that of a loss in which the state after burn-in is a constant."""
    setup = Setup(burn_in=5, unroll=4, period=2)
    learner, batch = case(setup, items=6)
    assert batch.burn_in.max() == 5
    for got, expected in zip(
        gradients(learner, batch), detached_reference(learner, batch, setup), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def with_garbage(batch: Batch, setup: Setup) -> Batch:
    """The batch with other contents wherever an item has no row of its own."""
    columns = {name: column.copy() for name, column in batch.columns.items()}
    for b in range(len(batch.ids)):
        first = setup.burn_in - int(batch.burn_in[b])
        after = setup.burn_in + int(batch.length[b]) + int(batch.lookahead[b])
        for name, column in columns.items():
            context = setup.stack - 1 if name == "observation" else 0
            for rows in (slice(0, first), slice(after + context, None)):
                column[b, rows] = 1 if column.dtype != np.float32 else 50.0
    return dataclasses.replace(batch, columns=columns)


@pytest.mark.parametrize("setup", [SETUPS["lstm"], SETUPS["gru, long burn-in"]], ids=["lstm", "gru"])
def test_padding_changes_nothing(setup: Setup) -> None:
    """Neither errors, nor gradients, nor priorities; the batch has padding on both sides."""
    learner, batch = case(setup, items=30)
    assert (batch.length + batch.lookahead).min() < setup.unroll + setup.n_step
    assert batch.burn_in.min() < setup.burn_in
    dirty = with_garbage(batch, setup)
    for clean_gradient, dirty_gradient in zip(
        gradients(learner, batch), gradients(learner, dirty), strict=True
    ):
        torch.testing.assert_close(clean_gradient, dirty_gradient, rtol=1e-4, atol=1e-6)
    other = copy.deepcopy(learner)
    np.testing.assert_allclose(
        learner.update(batch).priorities, other.update(dirty).priorities, rtol=1e-5, atol=1e-6
    )


def test_zero_state_ignores_what_was_stored_and_stored_state_does_not() -> None:
    setup = Setup(burn_in=2)
    _, batch = case(setup)
    other = dataclasses.replace(batch, core=batch.core + 1.0)
    for initial_state, equal in (("zero", True), ("stored", False)):
        learner = setup.learner(setup.network(1), initial_state=initial_state)
        difference = (learner.errors(batch)[0] - learner.errors(other)[0]).abs().max().item()
        assert (difference == 0.0) is equal


def test_double_q_lets_the_online_network_choose() -> None:
    """With `double` off the target network's own maximum is taken, which is never smaller."""
    setup = Setup()
    learner, batch = case(setup)
    single = setup.learner(learner.network, double=False)
    single.target.load_state_dict(learner.target.state_dict())
    error_double, error_single = learner.errors(batch)[0], single.errors(batch)[0]
    assert (error_single <= error_double + 1e-6).all()
    assert (error_single < error_double - 1e-3).any()


def test_rewards_are_clipped_for_the_learner_only_when_asked() -> None:
    setup = Setup()
    _, batch = case(setup)
    columns = dict(batch.columns) | {"reward": batch.columns["reward"] * 100}
    large = dataclasses.replace(batch, columns=columns)
    signs = dataclasses.replace(
        batch, columns=columns | {"reward": np.sign(columns["reward"]).astype(np.float32)}
    )
    network = setup.network(1)
    clipped = setup.learner(network, reward_clip=1.0)
    torch.testing.assert_close(clipped.errors(large)[0], clipped.errors(signs)[0], atol=2e-2, rtol=0)
    plain = setup.learner(network)
    assert (plain.errors(large)[0] - plain.errors(signs)[0]).abs().max() > 1


def test_the_target_network_is_copied_every_so_many_updates() -> None:
    setup = Setup()
    learner, batch = case(setup, target_period=3)
    old = nn.utils.parameters_to_vector(learner.target.parameters()).clone()
    for update in range(1, 7):
        learner.update(batch)
        now = nn.utils.parameters_to_vector(learner.target.parameters())
        online = nn.utils.parameters_to_vector(learner.network.parameters())
        assert torch.equal(now, online) == (update % 3 == 0)
        assert torch.equal(now, old) == (update < 3)


def test_the_learning_rate_can_be_changed_between_updates() -> None:
    """With a rate of 0 nothing moves; put back, the step is as large as the rate says."""
    learner, batch = case(Setup())
    before = nn.utils.parameters_to_vector(learner.network.parameters()).clone()
    learner.set_learning_rate(0.0)
    learner.update(batch)
    assert torch.equal(nn.utils.parameters_to_vector(learner.network.parameters()), before)
    steps = []
    for rate in (1e-3, 1e-4):
        twin = copy.deepcopy(learner)
        twin.set_learning_rate(rate)
        twin.update(batch)
        steps.append(nn.utils.parameters_to_vector(twin.network.parameters()) - before)
    torch.testing.assert_close(steps[0], 10 * steps[1], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_the_core_may_learn_more_slowly(optimizer: str) -> None:
    """Its steps are a share of what they were, whatever the rate is later; all others are as they were. Both go on
    from a state as if there had been none."""
    setup = Setup()
    changes = {"optimizer": optimizer, "weight_decay": 0.0, "learning_rate": 1e-3}
    (plain, batch), (slow, _) = (case(setup, core_rate=share, **changes) for share in (1.0, 0.25))
    before = {name: value.clone() for name, value in slow.network.state_dict().items()}
    for learner in (plain, slow):
        learner.set_learning_rate(2e-3)
        learner.update(batch)
    for name, value in slow.network.state_dict().items():
        moved, usual = value - before[name], plain.network.state_dict()[name] - before[name]
        share = 0.25 if name.startswith("core.") else 1.0
        assert usual.abs().max() > 1e-4
        torch.testing.assert_close(moved, share * usual, rtol=1e-2, atol=1e-6)
    other, _ = case(setup, core_rate=0.25, **changes)
    state = copy.deepcopy(slow.state_dict())
    check_learner(state, other)
    other.load_state_dict(state)
    for learner in (slow, other):
        learner.set_learning_rate(1e-3)
        learner.update(batch)
    assert same(slow.state_dict(), other.state_dict())


def test_the_target_network_can_follow_slowly() -> None:
    """After every second update it goes 30 % of the way to the online network, as it is then."""
    learner, batch = case(Setup(), target_period=2, target_averaging=0.3)
    expected = nn.utils.parameters_to_vector(learner.target.parameters()).clone()
    for update in range(1, 7):
        learner.update(batch)
        if update % 2 == 0:
            expected += 0.3 * (nn.utils.parameters_to_vector(learner.network.parameters()) - expected)
        now = nn.utils.parameters_to_vector(learner.target.parameters())
        torch.testing.assert_close(now, expected, rtol=1e-6, atol=1e-7)
        assert not any(parameter.requires_grad for parameter in learner.target.parameters())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad: float, optimizer: str) -> None:
    """Neither weights, target, optimizer nor counter; the next good update is as if nothing had happened."""
    setup = Setup()
    learner, batch = case(setup)
    learner = setup.learner(learner.network, optimizer=optimizer)
    learner.update(batch)
    twin = copy.deepcopy(learner)
    before = copy.deepcopy(learner.state_dict())
    reward = batch.columns["reward"].copy()
    reward[0, setup.burn_in] = bad
    with pytest.raises(FloatingPointError, match=r"update 2: .*no parameter was changed.*learning_rate"):
        learner.update(dataclasses.replace(batch, columns=dict(batch.columns) | {"reward": reward}))
    assert same(learner.state_dict(), before)
    np.testing.assert_array_equal(learner.update(batch).priorities, twin.update(batch).priorities)
    assert same(learner.state_dict(), twin.state_dict())


def test_adamw_goes_on_from_a_state_as_if_there_had_been_none() -> None:
    """With the weight decay of the config, and the gradients of matrices and vectors clipped together."""
    learner, batch = case(Setup(), optimizer="adamw", max_grad_norm=1e-3)
    learner.update(batch)
    norm = torch.stack([p.grad.norm() for p in learner.network.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)
    state = copy.deepcopy(learner.state_dict())
    twin, other = (case(Setup(), optimizer="adamw", weight_decay=decay)[0] for decay in (0.1, 0.2))
    check_learner(state, twin)
    for one in (twin, other):
        one.max_grad_norm = 1e-3
        one.load_state_dict(copy.deepcopy(state))
        one.update(batch)
    learner.update(batch)
    assert same(twin.state_dict(), learner.state_dict())
    assert not same(other.state_dict(), learner.state_dict())
    with pytest.raises(ValueError, match=r"of another network or learner\.optimizer"):
        check_learner(state, case(Setup())[0])
    del state["optimizer"]["state"][max(state["optimizer"]["state"])]  # of a vector
    with pytest.raises(ValueError, match="learner/optimizer/state"):
        check_learner(state, twin)


def test_weights_multiply_the_loss_of_each_item() -> None:
    """An item of weight 0 has no part in the loss; the priorities are those of the unweighted errors."""
    setup = Setup()
    learner, batch = case(setup)
    full = copy.deepcopy(learner).update(dataclasses.replace(batch, weight=np.ones_like(batch.weight)))
    shares = []
    for b in range(len(batch.ids)):
        weight = np.zeros_like(batch.weight)
        weight[b] = 0.5
        update = copy.deepcopy(learner).update(dataclasses.replace(batch, weight=weight))
        shares.append(update.metrics["loss"])
        np.testing.assert_array_equal(update.priorities, full.priorities)
    assert sum(shares) == pytest.approx(0.5 * full.metrics["loss"], rel=1e-5)
    assert min(shares) > 0


def test_the_gradient_is_clipped_by_its_norm() -> None:
    setup = Setup()
    learner, batch = case(setup, max_grad_norm=1e-3)
    learner.update(batch)
    norm = torch.stack([p.grad.norm() for p in learner.network.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_no_limit_leaves_the_gradient_alone() -> None:
    setup = Setup()
    network, (_, batch) = setup.network(1), case(setup)
    learners = [setup.learner(copy.deepcopy(network), max_grad_norm=most) for most in (0.0, 1e12)]
    norms = [learner.update(batch).metrics["gradient_norm"] for learner in learners]
    assert norms[0] == norms[1] > 0
    assert same(learners[0].state_dict(), learners[1].state_dict())


def test_bfloat16_agrees_with_float32() -> None:
    """Torso and heads in bfloat16, the core in float32: errors within a few per cent of the reference."""
    setup = Setup(shape=(24, 24), dtype="uint8", stack=3)
    network = setup.network(1)
    _, batch = case(setup)
    exact = setup.learner(network).errors(batch)[0]
    mixed = setup.learner(network, precision="bfloat16").errors(batch)[0]
    mask = length_mask(torch.from_numpy(batch.length), setup.unroll)
    assert ((exact - mixed) * mask).abs().max() < 0.05 * (exact * mask).abs().max()
    assert mixed.dtype == torch.float32
