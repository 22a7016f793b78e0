"""The law of resets: what every weight, moment and singular vector is afterwards, and when it happens."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from control_cases import Control
from helpers import Setup, items_of, select

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.optimizers import make_optimizer
from r2d2.agent.resets import Resets, resets_until
from r2d2.agent.torsos.impala import Impala
from r2d2.agent.torsos.spectral import spectral_layers
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec

NETWORKS = {
    "q": lambda seed: Setup().network(seed),
    "gru": lambda seed: Setup(core="gru").network(seed),
    "frozen context": lambda seed: Setup(shape=(24, 27), dtype="uint8", frozen=4).network(seed),
    "sac": lambda seed: Control().network(seed),
    "ddpg, one trunk": lambda seed: Control("ddpg", shared=True).network(seed),
}
HEADS = ("head.", "policy.", "critics.", "log_temperature")


def in_head(name: str) -> bool:
    return name.startswith(HEADS)


def weights(network: AgentNetwork) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy().copy() for name, value in network.named_parameters()}


def trained(network: AgentNetwork, optimizer: torch.optim.Optimizer, gradient: float = 0.5) -> None:
    """One step along a gradient that is the same everywhere."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_what_every_weight_and_moment_is_after_a_reset(kind: str, optimizer: Any) -> None:
    """Torso and core are s w + (1 - s) new in float64, heads are new, in both networks with the same new weights;
    moments and step counts of heads are 0 and those of the others as they were."""
    config = LearnerConfig(reset_period=10, reset_shrink=0.8, optimizer=optimizer, learning_rate=0.01)
    online, target = NETWORKS[kind](0), NETWORKS[kind](1)
    made = make_optimizer(online.groups(), config)
    trained(online, made)
    before, moments = [weights(net) for net in (online, target)], copy.deepcopy(made.state_dict()["state"])
    new = weights(NETWORKS[kind](103))
    Resets(config, lambda n: NETWORKS[kind](100 + n))(3, [online, target], made)
    for network, old in zip((online, target), before, strict=True):
        for name, found in weights(network).items():
            expected = new[name] if in_head(name) else 0.8 * old[name] + (1 - 0.8) * new[name]
            if name.startswith("frozen."):  # replay holds its features
                expected = old[name]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    assert any(in_head(name) for name in new)
    numbers = {id(p): i for i, p in enumerate(p for g in made.param_groups for p in g["params"])}
    after = made.state_dict()["state"]
    for name, parameter in online.named_parameters():
        if name.startswith("frozen."):
            continue
        own = moments[numbers[id(parameter)]]
        assert any(value.any() for value in own.values())
        for key, value in after[numbers[id(parameter)]].items():
            torch.testing.assert_close(value, torch.zeros_like(value) if in_head(name) else own[key])


def test_the_first_step_of_a_new_head_is_that_of_a_new_optimizer() -> None:
    """Adam's first step is lr g / (|g| + eps), whatever there was before; moments that stay make another one."""
    config = LearnerConfig(reset_period=10, reset_shrink=1.0, learning_rate=0.01, adam_epsilon=1e-3)
    network = Setup().network()
    optimizer = make_optimizer(network.groups(), config)
    for _ in range(5):
        trained(network, optimizer, 2.0)
    Resets(config, lambda n: Setup().network(n))(1, [network], optimizer)
    before = weights(network)
    trained(network, optimizer, 0.25)
    for name, found in weights(network).items():
        step = before[name] - found
        first = np.allclose(step, 0.01 * 0.25 / (0.25 + 1e-3), rtol=1e-3)
        assert first == in_head(name), name


@pytest.mark.parametrize(
    ("changes", "kept"),
    [({"reset_shrink": 1.0}, lambda name: not in_head(name)), ({"reset_heads": False}, in_head)],
)
def test_heads_or_the_others_may_be_left_alone(changes: dict[str, Any], kept: Any) -> None:
    config = LearnerConfig(reset_period=10, **changes)
    network = NETWORKS["sac"](0)
    optimizer = make_optimizer(network.groups(), config)
    trained(network, optimizer)
    before, moments = weights(network), copy.deepcopy(optimizer.state_dict()["state"])
    Resets(config, NETWORKS["sac"])(1, [network], optimizer)
    for name, found in weights(network).items():
        if kept(name):
            np.testing.assert_array_equal(found, before[name])
    same = all(
        torch.equal(value, moments[i][key])
        for i, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    )
    assert same == (not config.reset_heads)


def test_no_storage_is_replaced() -> None:
    """CUDA graphs and actors that copy from these tensors go on with them."""
    config = LearnerConfig(reset_period=10)
    network = Setup().network()
    optimizer = make_optimizer(network.groups(), config)
    trained(network, optimizer)
    places = [p.data_ptr() for p in network.parameters()]
    places += [v.data_ptr() for s in optimizer.state.values() for v in s.values()]
    Resets(config, lambda n: Setup().network(n))(1, [network], optimizer)
    after = [p.data_ptr() for p in network.parameters()]
    assert after + [v.data_ptr() for s in optimizer.state.values() for v in s.values()] == places


def test_resets_happen_with_their_update_and_end() -> None:
    config = LearnerConfig(reset_period=3, reset_last=7)
    resets = Resets(config, lambda n: Setup().network(n))
    assert [resets.due(n) for n in range(1, 13)] == [0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert [resets_until(config, n) for n in (2, 3, 6, 100)] == [0, 1, 2, 2]
    assert resets_until(LearnerConfig(), 10**9) == 0


def test_a_learner_resets_after_the_update_and_both_networks_know_the_new_head() -> None:
    """The n-th draws the weights of that number; the update before it is that of a learner without."""
    setup = Setup()
    _, items = items_of(setup, setup.network())
    batch = select(items, np.arange(4))
    numbers: list[int] = []

    def fresh(number: int) -> AgentNetwork:
        numbers.append(number)
        return setup.network(100 + number)

    config = LearnerConfig(reset_period=2, reset_shrink=0.5)
    plain = setup.learner(setup.network())
    learner = setup.learner(setup.network(), resets=Resets(config, fresh), reset_period=2, reset_shrink=0.5)
    found = [learner.update(batch) for _ in range(5)]
    assert numbers == [1, 2]
    assert [update.metrics["resets"] for update in found] == [0.0, 0.0, 1.0, 1.0, 2.0]
    first, second = plain.update(batch), plain.update(batch)
    np.testing.assert_array_equal(found[0].priorities, first.priorities)
    np.testing.assert_array_equal(found[1].priorities, second.priorities)
    again = setup.learner(setup.network(), resets=Resets(config, fresh), reset_period=2, reset_shrink=0.5)
    for _ in range(2):
        again.update(batch)
    new = setup.network(101)
    for network in (again.network, again.target):
        torch.testing.assert_close(dict(network.head.named_parameters()), dict(new.head.named_parameters()))
    old = setup.network()
    for name, value in again.target.torso.named_parameters():
        expected = (
            0.5 * dict(old.torso.named_parameters())[name] + 0.5 * dict(new.torso.named_parameters())[name]
        )
        torch.testing.assert_close(value, expected)


def test_singular_vectors_follow_the_new_weights() -> None:
    """Each kernel of spectral norm is divided by its largest singular value again."""
    config = NetworkConfig(torso="impala", spectral_norm=True)

    class Network(torch.nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.torso = Impala(ObservationSpec((10, 10, 4), "uint8", "grid"), config)

    network: Any = Network(0)
    Resets(LearnerConfig(reset_period=1, reset_shrink=0.0), Network)(  # type: ignore[arg-type]
        1, [network], torch.optim.Adam(network.parameters())
    )
    layers = spectral_layers(network)
    assert layers
    for layer in layers:
        matrix = layer.weight.detach().flatten(1)
        torch.testing.assert_close(
            layer.left @ matrix @ layer.right, torch.linalg.matrix_norm(matrix, 2), rtol=0.05, atol=0
        )
