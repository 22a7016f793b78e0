"""Laws of the frozen context: its features are those of the stored frames and never change, and burn-in needs no
pixels."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ACTIONS, Setup, items_of, play
from numpy.typing import NDArray

from r2d2.agent.acting_state import FrozenFeatures
from r2d2.agent.frozen import FrozenEncoder
from r2d2.agent.inputs import Inputs
from r2d2.agent.networks import QNetwork
from r2d2.agent.staleness import delta_q
from r2d2.build import agents as build
from r2d2.config import NetworkConfig, check_config
from r2d2.config.presets import preset
from r2d2.replay import Replay
from r2d2.replay.episodes import read_episode, stored_episodes
from r2d2.types import FROZEN, OBSERVATION, Batch, ObservationSpec

SETUP = Setup(shape=(24, 27), dtype="uint8", stack=3, frozen=7, burn_in=5)
FLOAT16 = 2.0**-10  # the distance of two numbers between 1 and 2


# -- a plain twin ------------------------------------------------------------------------------------------


def weights(network: QNetwork) -> dict[str, NDArray[np.float64]]:
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def torso(w: dict[str, NDArray[np.float64]], prefix: str, frames: NDArray) -> NDArray[np.float64]:
    """Features of one stack [C, H, W] of bytes: three convolutions without borders and one layer, all with ReLU."""
    x = frames / 255.0
    for layer, stride in ((0, 3), (2, 2), (4, 1)):
        kernel, bias = w[f"{prefix}.{layer}.weight"], w[f"{prefix}.{layer}.bias"]
        size = kernel.shape[-1]
        patches = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))[:, ::stride, ::stride]
        x = np.maximum(np.einsum("chwij,fcij->fhw", patches, kernel) + bias[:, None, None], 0.0)
    return np.maximum(w[f"{prefix}.7.weight"] @ x.reshape(-1) + w[f"{prefix}.7.bias"], 0.0)


def lstm(w: dict[str, NDArray[np.float64]], x: NDArray, h: NDArray, c: NDArray) -> tuple[NDArray, NDArray]:
    gates = (
        w["core.weight_ih_l0"] @ x + w["core.bias_ih_l0"] + w["core.weight_hh_l0"] @ h + w["core.bias_hh_l0"]
    )
    i, f, g, o = np.split(gates, 4)
    sigmoid = [1.0 / (1.0 + np.exp(-gate)) for gate in (i, f, o)]
    c = sigmoid[1] * c + sigmoid[0] * np.tanh(g)
    return sigmoid[2] * np.tanh(c), c


def head(w: dict[str, NDArray[np.float64]], x: NDArray) -> NDArray[np.float64]:
    def stream(name: str) -> NDArray[np.float64]:
        hidden = np.maximum(w[f"head.{name}.0.weight"] @ x + w[f"head.{name}.0.bias"], 0.0)
        return w[f"head.{name}.2.weight"] @ hidden + w[f"head.{name}.2.bias"]

    advantage = stream("advantage")
    return stream("value") + advantage - advantage.mean()


def test_the_forward_pass_equals_a_plain_twin() -> None:
    """In float64, from single frames: the core sees frozen features, the head the core's output and the torso's."""
    network = SETUP.network()
    w, rng = weights(network), np.random.default_rng(0)
    stacks = rng.integers(0, 256, (6, SETUP.stack, *SETUP.shape), np.uint8)
    frozen = np.stack([torso(w, f"frozen.torso.{OBSERVATION}", stack) for stack in stacks])
    assert network.frozen is not None
    found = network.frozen({OBSERVATION: torch.from_numpy(stacks)}).float().numpy()
    np.testing.assert_allclose(found, frozen, rtol=FLOAT16)
    action, reward = rng.integers(0, ACTIONS + 1, 6), rng.normal(size=6).astype(np.float32)
    h, c = rng.normal(size=(2, 5)).astype(np.float32).astype(np.float64)
    state = torch.from_numpy(np.concatenate([h, c])).float()[None]
    expected = []
    for t in range(6):
        one_hot = np.arange(1, ACTIONS + 1) == action[t]
        h, c = lstm(w, np.concatenate([found[t], one_hot, reward[t : t + 1]]), h, c)
        expected.append(head(w, np.concatenate([h, torso(w, "torso", stacks[t])])))
    inputs = Inputs(
        {OBSERVATION: torch.from_numpy(stacks[2:])[:, None]},
        torch.from_numpy(action)[:, None],
        torch.from_numpy(reward)[:, None],
        torch.from_numpy(found).half()[:, None],
    )
    with torch.no_grad():
        state = network.unroll(network.encode_for_state(inputs[:2]), state)[1]
        outputs, after = network.unroll(network.encode(inputs[2:]), state)
        q = network.values(outputs)[:, 0].numpy()
    np.testing.assert_allclose(q, expected[2:], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after[0].numpy(), np.concatenate([h, c]), rtol=1e-5, atol=1e-5)


# -- what is stored ----------------------------------------------------------------------------------------


def played(setup: Setup = SETUP, steps: int = 60) -> tuple[QNetwork, Replay, Batch]:
    network = setup.network()
    replay, batch = items_of(dataclasses.replace(setup, steps=600), network, steps=steps)
    return network, replay, batch


@pytest.mark.parametrize("life_loss", ["none", "reset"])
def test_stored_features_are_those_of_the_stored_frames(life_loss: Any) -> None:
    """Of every row of every episode, with the stack as it is at the episode's start."""
    network, replay, _ = played(dataclasses.replace(SETUP, life_loss=life_loss))
    episodes = stored_episodes(replay)
    assert len(episodes) > 5
    assert network.frozen is not None
    for index in range(len(episodes)):
        columns = read_episode(replay, episodes, index)
        frames = columns[OBSERVATION]
        if columns["previous_action"][0] != 0:
            continue  # its first frames are gone
        frames = np.concatenate([np.repeat(frames[:1], SETUP.stack - 1, 0), frames])
        stacks = np.lib.stride_tricks.sliding_window_view(frames, SETUP.stack, 0).transpose(0, 3, 1, 2)
        expected = network.frozen({OBSERVATION: torch.from_numpy(stacks.copy())}).numpy()
        assert columns[FROZEN].dtype == np.float16
        np.testing.assert_allclose(columns[FROZEN], expected, rtol=2 * FLOAT16, atol=1e-3)
        assert np.ptp(columns[FROZEN].astype(np.float32)) > 0.1


def test_features_are_computed_anew_along_episodes_that_are_read() -> None:
    network, replay, _ = played()
    compute, episodes = FrozenFeatures(network, 2), stored_episodes(replay)
    columns = read_episode(replay, episodes, len(episodes) - 1)
    for t in range(len(columns["action"])):
        row = {name: value[t : t + 1] for name, value in columns.items() if name != FROZEN}
        found = compute(row, np.array([t == 0]), np.array([1]))
        np.testing.assert_allclose(found[0], columns[FROZEN][t], rtol=2 * FLOAT16, atol=1e-3)


def test_features_beyond_float16_are_its_largest() -> None:
    encoder = FrozenEncoder({"x": ObservationSpec((2,))}, NetworkConfig(context_features=8, stack=1))
    found = encoder({"x": torch.tensor([[1e9, -1e9]])})
    assert torch.isfinite(found).all()
    assert found.max() == torch.finfo(torch.float16).max


# -- what an update reads ----------------------------------------------------------------------------------


def test_burn_in_frames_are_not_read() -> None:
    """A batch begins with the stack of the first trained step; overwriting the frames before that changes nothing,
    overwriting one of the stack does."""
    _, replay, batch = played()
    item = int(np.flatnonzero(batch.burn_in == SETUP.burn_in)[3])
    ids, frames = batch.ids[item : item + 1], replay.storage.raw.column(OBSERVATION)
    rows = SETUP.stack - 1 + SETUP.unroll + SETUP.n_step
    assert batch.columns[OBSERVATION].shape[1] == rows
    assert batch.columns[FROZEN].shape[1] == SETUP.burn_in + SETUP.unroll + SETUP.n_step
    places = replay.held_places(ids)
    window = replay.items.windows(places, replay.storage, replay.sequencer).rows[0]

    def loss() -> tuple[float, float]:
        update = SETUP.learner(SETUP.network(1)).update(replay.get(ids))
        return update.metrics["loss"], float(update.priorities[0])

    before = loss()
    first = len(window) - rows  # of the stack
    kept = frames[window[first:]].copy()
    frames[window[:first]] = np.random.default_rng(5).integers(0, 256, (first, *SETUP.shape), np.uint8)
    frames[window[first:]] = kept  # the context's padding repeats a row
    assert loss() == before
    frames[window[first]] ^= 255
    assert loss() != before


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "target_averaging": 0.1, "target_period": 1}])
def test_gradients_never_reach_the_encoder(changes: dict[str, Any]) -> None:
    _, _, batch = played()
    network = SETUP.network(1)
    learner = SETUP.learner(network, **changes)
    assert network.frozen is not None
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(3):
        learner.update(batch)
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = {name for name in before if name.startswith("frozen.")}
    assert len(frozen) == 8
    assert moved == set(before) - frozen
    assert learner.target.frozen is network.frozen
    own = {id(p) for group in learner.optimizer.param_groups for p in group["params"]}
    assert all(p.grad is None and id(p) not in own for p in network.frozen.parameters())


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_accumulated_gradients_are_the_same_update(parts: int) -> None:
    _, _, batch = played()
    one, other = (SETUP.learner(SETUP.network(1), gradient_accumulation_steps=n) for n in (1, parts))
    found, expected = other.update(batch), one.update(batch)
    assert found.metrics["loss"] == pytest.approx(expected.metrics["loss"], rel=1e-5)
    np.testing.assert_allclose(found.priorities, expected.priorities, rtol=1e-4)


def test_the_torso_does_not_see_the_burn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, batch = played()
    learner = SETUP.learner(SETUP.network(1))
    seen: list[int] = []
    for network in (learner.network, learner.target):
        network.torso.register_forward_hook(lambda _, frames, __: seen.append(len(frames[0])))
    learner.update(batch)
    assert sum(seen) == 2 * len(batch.ids) * (SETUP.unroll + SETUP.n_step)


def test_staleness_is_none_where_the_states_are_the_actors() -> None:
    """Delta-Q reads burn-in without observations too."""
    network, _, batch = played()
    learner = SETUP.learner(network)
    first, last = np.zeros_like(batch.core), np.zeros_like(batch.core)
    for b in range(len(batch.ids)):
        begin = SETUP.burn_in - int(batch.burn_in[b])
        seen = {name: torch.from_numpy(value[b : b + 1].copy()) for name, value in batch.columns.items()}
        inputs, state = network.inputs.read(seen), torch.from_numpy(batch.core[b : b + 1])
        for row in range(begin, SETUP.burn_in + int(batch.length[b])):
            first[b] = state[0].numpy() if row == SETUP.burn_in else first[b]
            last[b] = state[0].numpy()
            with torch.no_grad():
                state = network.unroll(network.encode_for_state(inputs[row : row + 1]), state)[1]
    at_first, at_last = delta_q(learner, batch, first, last)
    assert max(at_first.max(), at_last.max()) < 1e-4
    assert delta_q(learner, batch, 0 * first, 0 * last)[0].max() > 1e-2


# -- actors ------------------------------------------------------------------------------------------------


def test_the_encoder_is_used_once_a_step() -> None:
    network = SETUP.network()
    assert network.frozen is not None
    calls: list[int] = []
    network.frozen.register_forward_hook(lambda _, frames, __: calls.append(len(frames[0][OBSERVATION])))
    actor, replay = SETUP.actor(network), SETUP.replay()
    begun = 0
    for _ in play(actor, replay, 20):
        begun += 1
    assert calls == [SETUP.environments] * begun


# -- configs -----------------------------------------------------------------------------------------------


def test_weights_without_it_are_those_that_they_were() -> None:
    """A frozen context adds an encoder and changes no random number before it but those of the parts it widens."""
    spec = {OBSERVATION: ObservationSpec((42, 42), "uint8", "frames")}
    small = preset("r2d2-small").network
    made = []
    for context in ("learned", "frozen"):
        torch.manual_seed(0)
        made.append(QNetwork(spec, 4, dataclasses.replace(small, context=context)))  # type: ignore[arg-type]
    assert made[0].frozen is None
    assert not any(name.startswith("frozen") for name in made[0].state_dict())
    assert torch.equal(made[0].state_dict()["torso.0.weight"], made[1].state_dict()["torso.0.weight"])
    assert made[1].width == small.core_width + small.features


def test_it_keeps_distances_between_observations() -> None:
    """Orthogonal weights: two frames that differ in one pixel of a hundred still have features that float16 can
    tell apart; PyTorch's own weights shrink the difference far more."""
    spec = {OBSERVATION: ObservationSpec((42, 42), "uint8", "frames")}
    torch.manual_seed(0)
    encoder = FrozenEncoder(spec, NetworkConfig(torso="small"))
    plain = QNetwork(spec, 4, NetworkConfig(torso="small", features=128)).torso
    frames = torch.full((2, 4, 42, 42), 87, dtype=torch.uint8)
    frames[1, :, 20:24, 20:24] = 236

    def apart(features: torch.Tensor) -> float:
        return float((features[1].float() - features[0].float()).norm())

    with torch.no_grad():
        assert apart(encoder({OBSERVATION: frames})) > 10 * apart(plain(frames))  # type: ignore[operator]
    assert math.isclose(
        float(encoder.torso.get_parameter("observation.0.weight")[0].norm()), math.sqrt(2), rel_tol=1e-5
    )


@pytest.mark.parametrize(
    ("section", "changes", "reason"),
    [
        ("network", {"core": "none"}, "network.core none"),
        ("network", {"normalize": True}, "network.normalize"),
        ("replay", {"hindsight": "future"}, "replay.hindsight future"),
        ("cluster", {"inference": "central"}, "cluster.inference central"),
    ],
)
def test_what_does_not_go_with_it_is_refused(section: str, changes: dict[str, Any], reason: str) -> None:
    config = preset("r2d2-small+frozen-context")
    check_config(config)
    config = dataclasses.replace(
        config, **{section: dataclasses.replace(getattr(config, section), **changes)}
    )
    with pytest.raises(ValueError, match=f"network.context frozen does not go with {reason}: "):
        check_config(config)


def test_vectors_alone_are_refused() -> None:
    from r2d2.build import environments
    from r2d2.envs.vector import EnvError

    config = preset("memory+frozen-context")
    config = dataclasses.replace(config, env=dataclasses.replace(config.env, id="CartPole-v1"))
    with pytest.raises(EnvError, match="CartPole-v1 has vectors as observations"):
        build.network(config, environments.spec(config))
