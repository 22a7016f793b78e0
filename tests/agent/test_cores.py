"""The laws of every core that there is a name for: alone, in a network, and through the whole of R2D2.

A new core is held to them by its line in `r2d2/config/parts.py`.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Ending, Setup, items_of
from test_alignment import played_checks
from test_refreshed import LONG, check_refreshed

from r2d2.agent.cores import Stepping, state_size
from r2d2.agent.learner import InitialState
from r2d2.agent.networks import QNetwork
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import CORES, CoreName, load
from r2d2.types import OBSERVATION, ObservationSpec

T, B, F = 7, 3, 6
INITIAL_STATES: tuple[InitialState, ...] = typing.get_args(InitialState)

pytestmark = pytest.mark.parametrize("core", CORES)


def make(core: str, **changes: Any) -> Any:
    """A core with random weights, biases included."""
    torch.manual_seed(0)
    made = load(CORES, core)(F, NetworkConfig(core=core, core_width=5, **changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


@torch.no_grad()
def test_a_sequence_cut_anywhere_is_the_sequence(core: str) -> None:
    """From any state, to 1e-5; the state after it too, and one step at a time."""
    made = make(core)
    inputs, start = torch.randn(T, B, F), torch.randn(B, made.state_size)
    outputs, end = made.unroll(inputs, start)
    assert outputs.shape == (T, B, made.width)
    assert end.shape == (B, made.state_size)
    for cut in range(1, T):
        first, middle = made.unroll(inputs[:cut], start)
        rest, last = made.unroll(inputs[cut:], middle)
        torch.testing.assert_close(torch.cat([first, rest]), outputs, rtol=0, atol=1e-5)
        torch.testing.assert_close(last, end, rtol=0, atol=1e-5)
    state = start
    for t in range(T):
        one, state = (
            made.step(inputs[t], state) if isinstance(made, Stepping) else _step(made, inputs[t], state)
        )
        torch.testing.assert_close(one, outputs[t], rtol=0, atol=1e-5)
    torch.testing.assert_close(state, end, rtol=0, atol=1e-5)


def _step(made: Any, inputs: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    outputs, state = made.unroll(inputs.unsqueeze(0), state)
    return outputs[0], state


@torch.no_grad()
def test_sequences_of_a_batch_do_not_see_each_other(core: str) -> None:
    made = make(core)
    inputs, start = torch.randn(T, B, F), torch.randn(B, made.state_size)
    outputs, end = made.unroll(inputs, start)
    for b in range(B):
        alone, state = made.unroll(inputs[:, b : b + 1], start[b : b + 1])
        torch.testing.assert_close(alone[:, 0], outputs[:, b], rtol=0, atol=1e-5)
        torch.testing.assert_close(state[0], end[b], rtol=0, atol=1e-5)


def test_outputs_depend_on_all_before_them_and_on_nothing_after(core: str) -> None:
    """The gradient of an output reaches the inputs and the state before it, through the whole sequence."""
    made = make(core, forget_bias=2.0)
    inputs = torch.randn(T, B, F, requires_grad=True)
    start = torch.randn(B, made.state_size, requires_grad=True)
    middle = made.unroll(inputs, start)[0][T // 2].sum()
    to_inputs, to_start = torch.autograd.grad(middle, (inputs, start), allow_unused=True)
    reached = to_inputs.abs().amax((1, 2)) > 0
    remembers = made.state_size > 0
    assert reached.tolist() == [t == T // 2 or (remembers and t < T // 2) for t in range(T)]
    assert remembers is (to_start is not None and bool((to_start.abs() > 0).any()))


def test_the_size_of_the_state_is_known_without_a_network(core: str) -> None:
    config = NetworkConfig(core=core, core_width=5, stack=1, features=8, hidden=8)
    network = QNetwork({OBSERVATION: ObservationSpec((4,))}, 3, config)
    assert network.core_size == network.core.state_size == state_size(config)


def test_it_has_a_name_in_the_config(core: str) -> None:
    assert core in typing.get_args(CoreName)


@pytest.mark.parametrize("mode", INITIAL_STATES)
def test_it_trains_from_every_initial_state(core: str, mode: InitialState) -> None:
    """Errors are those of stored state begun where the mode begins; every parameter has a finite gradient; states
    for the successors are found where they are asked for. Whole episodes need no burn-in and begin with zero."""
    sizes = {"burn_in": 0, "unroll": 31} if mode == "episode" else {"burn_in": 5}
    setup = Setup(core=core, episodes=LONG, steps=300, **sizes)  # type: ignore[arg-type]
    _, batch = items_of(setup, setup.network(0), steps=160)
    assert mode != "episode" or not batch.core.any()
    core_state = batch.core if mode in ("stored", "refreshed") else np.zeros_like(batch.core)
    stored = setup.learner(setup.network(1)).errors(dataclasses.replace(batch, core=core_state))
    learner = setup.learner(setup.network(1), initial_state=mode)
    found = learner.errors(batch)
    torch.testing.assert_close(found.error * found.mask, stored.error * stored.mask, rtol=1e-4, atol=1e-5)
    update = learner.update(batch)
    assert np.isfinite(update.priorities).all()
    assert (update.refreshed is not None) is (mode == "refreshed")
    for name, parameter in learner.network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("burn_in", [0, 3, 7])
def test_refreshed_states_are_those_before_the_successors_first_rows(core: str, burn_in: int) -> None:
    setup = Setup(core=core, burn_in=burn_in, linked=True, episodes=LONG)
    assert check_refreshed(setup, network=setup.network(0), learning=setup.network(1)) > 3


@pytest.mark.parametrize("linked", [False, True], ids=["stored", "refreshed"])
def test_the_learner_sees_what_the_actor_saw(core: str, linked: bool) -> None:
    """Recorded and recomputed Q values agree to 1e-5, see test_alignment.py."""
    seen = played_checks(Setup(core=core, burn_in=5, linked=linked), steps=320)
    assert min(seen[kind] for kind in ("first", "middle", "last", "one_step")) > 0


def test_state_counts_in_the_alignment(core: str) -> None:
    """With other states, what is recomputed differs, unless the core has none."""
    setup = Setup(core=core, burn_in=2, episodes=(Ending(40),))
    network = setup.network(0)
    _, batch = items_of(setup, network)
    other = dataclasses.replace(batch, core=batch.core + 1.0)
    learner = setup.learner(network)
    difference = (learner.errors(batch).error - learner.errors(other).error).abs().max()
    assert bool(difference > 1e-3) is (network.core_size > 0)
