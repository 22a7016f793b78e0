"""The law of networks: one step at a time or a whole sequence, the same Q values, and every input counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import inputs_of, one_input
from torch import Tensor

from r2d2.agent.inputs import Inputs, stack_rows
from r2d2.agent.networks import QNetwork
from r2d2.agent.torsos.scaling import scaled_frames
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import CORES, CoreName
from r2d2.types import OBSERVATION, ObservationSpec

T, B, A = 6, 3, 4


def network(shape: tuple[int, ...] = (5,), core: CoreName = "lstm", **changes: object) -> QNetwork:
    """For vectors, or frames [H, W, C]; nothing is stacked."""
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"features": 8, "core_width": 7, "hidden": 9, "torso": "small", "stack": 1}
    config = NetworkConfig(core=core, **(arguments | changes))
    frames = ObservationSpec(shape, "uint8", "frames")
    return QNetwork({OBSERVATION: frames if len(shape) == 3 else ObservationSpec(shape)}, A, config)


def inputs(shape: tuple[int, ...] = (5,), seed: int = 1) -> Inputs:
    """Of vectors, or frames [H, W, C], as floats."""
    generator = torch.Generator().manual_seed(seed)
    if len(shape) == 3:
        shape = (shape[2], *shape[:2])
    return inputs_of(
        torch.rand(T, B, *shape, generator=generator),
        torch.randint(A + 1, (T, B), generator=generator),
        torch.randn(T, B, generator=generator),
    )


def all_values(net: QNetwork, inputs: Inputs, state: Tensor) -> Tensor:
    outputs, _ = net.unroll(net.encode(inputs), state)
    return net.values(outputs)


@pytest.mark.parametrize("shape", [(5,), (24, 31, 4), (30, 24, 12)], ids=["vector", "gray", "color"])
@pytest.mark.parametrize("core", CORES)
@torch.no_grad()
def test_step_and_unroll_agree(core: CoreName, shape: tuple[int, ...]) -> None:
    """From any state, with frames that are not square too; also when the sequence is cut in two."""
    net = network(shape, core)
    read = inputs(shape)
    start = torch.randn(B, net.core_size)
    whole = all_values(net, read, start)
    assert whole.shape == (T, B, A)
    state = start
    for t in range(T):
        q, state = net.step(read[t : t + 1], state)
        torch.testing.assert_close(q, whole[t], rtol=0, atol=1e-5)
    encoded = net.encode(read)
    _, middle = net.unroll(encoded[:2], start)
    _, end = net.unroll(encoded[2:], middle)
    torch.testing.assert_close(end, state, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("core", "size"), [("lstm", 14), ("gru", 7), ("none", 0)])
def test_core_sizes(core: CoreName, size: int) -> None:
    """(h, c) of an LSTM, h of a GRU, nothing without a core."""
    net = network(core=core)
    assert net.core_size == size
    q, state = net.step(inputs()[:1], torch.zeros(B, size))
    assert q.shape == (B, A)
    assert state.shape == (B, size)


@torch.no_grad()
def test_the_flat_state_is_h_then_c() -> None:
    """As torch's own LSTM computes it from the two halves."""
    net = network()
    assert isinstance(net.core, torch.nn.LSTM)
    encoded = net.encode(inputs())
    start = torch.randn(B, 14)
    out, (h, c) = net.core(encoded, (start[None, :, :7].contiguous(), start[None, :, 7:].contiguous()))
    outputs, state = net.unroll(encoded, start)
    torch.testing.assert_close(outputs, out)
    torch.testing.assert_close(state, torch.cat([h[0], c[0]], 1))


@torch.no_grad()
def test_previous_action_and_reward_are_inputs_of_the_core() -> None:
    """Each previous action, and none at all, is told apart: 0 is no action, k + 1 is action k, one-hot."""
    net = network()
    read = inputs()
    action, reward = read.previous_action, read.previous_reward
    encoded = net.encode(read)
    assert encoded.shape == (T, B, 8 + A + 1)
    for t in range(T):
        for b in range(B):
            expected = [float(action[t, b] == k + 1) for k in range(A)]
            assert encoded[t, b, 8:-1].tolist() == expected
    torch.testing.assert_close(encoded[..., -1], reward)
    state = torch.zeros(B, net.core_size)
    outcomes = torch.stack(
        [
            all_values(net, replace(read, previous_action=torch.full_like(action, k)), state)
            for k in range(A + 1)
        ]
    )
    assert (outcomes[:, None] - outcomes[None]).abs().amax((2, 3, 4)).fill_diagonal_(1).min() > 1e-4
    assert (
        all_values(net, replace(read, previous_reward=reward + 1), state) - outcomes[0]
    ).abs().max() > 1e-4


@torch.no_grad()
def test_previous_inputs_can_be_left_out() -> None:
    net = network(previous_inputs=False)
    read, state = inputs(), torch.zeros(B, net.core_size)
    other = Inputs(read.observation, 0 * read.previous_action, read.previous_reward + 5)
    a, b = all_values(net, read, state), all_values(net, other, state)
    torch.testing.assert_close(a, b, rtol=0, atol=0)


@torch.no_grad()
def test_dueling_is_value_plus_centered_advantage() -> None:
    """Q's mean over actions is the value; a constant added to all advantages changes nothing."""
    net = network()
    x = torch.randn(5, 7)
    head = net.head
    q = head(x)
    torch.testing.assert_close(q.mean(-1, keepdim=True), head.value(x))  # type: ignore[operator]
    head.advantage[-1].bias += 3.0  # type: ignore[index, union-attr]
    torch.testing.assert_close(head(x), q)
    assert isinstance(network(head="plain").head, torch.nn.Sequential)


@torch.no_grad()
def test_forget_bias_is_added_to_the_forget_gate() -> None:
    """With a large one the cell keeps its content; h does not decide."""
    plain, biased = network(), network(forget_bias=50.0)
    difference = biased.core.bias_hh_l0 - plain.core.bias_hh_l0  # type: ignore[union-attr, operator]
    assert difference.tolist() == pytest.approx([0.0] * 7 + [50.0] * 7 + [0.0] * 14)
    cell = torch.full((B, 7), 40.0)
    _, state = biased.unroll(biased.encode(inputs()), torch.cat([torch.zeros(B, 7), cell], 1))
    assert (state[:, 7:] - cell).abs().max() <= T  # each step adds at most 1


@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((5,), "float32"), ((2, 3), "float32"), ((9,), "uint8"), ((6, 8), "uint8"), ((6, 8, 3), "uint8")],
    ids=["vector", "table", "bytes", "gray", "color"],
)
def test_stacks(shape: tuple[int, ...], dtype: str, stack: int) -> None:
    """Row t of the result is made of stored rows t .. t + stack - 1, oldest first; frames become
    [stack * C, H, W] bytes that the network sees in [0, 1], everything else a vector of stack * D numbers."""
    rng = np.random.default_rng(0)
    stored = (rng.random((2, stack - 1 + T, *shape)) * 255).astype(dtype)
    pixels = dtype == "uint8" and len(shape) > 1
    spec = ObservationSpec(shape, dtype, "frames" if pixels else "vector")
    got = stack_rows(torch.from_numpy(stored), spec, stack)
    assert got.shape[2:] == spec.input_shape(stack)
    assert got.shape[:2] == (T, 2)
    assert got.dtype == (torch.uint8 if pixels else torch.float32)
    got = scaled_frames(got, spec) if pixels else got
    for t in range(T):
        for b in range(2):
            frames = stored[b, t : t + stack]
            if len(shape) == 2 and not pixels:
                wanted = torch.from_numpy(np.concatenate(list(frames), -1).reshape(-1))
            else:
                wanted = one_input(frames, pixels=pixels)[0, 0].float()
            torch.testing.assert_close(got[t, b], wanted)


def test_a_table_of_numbers_can_be_an_observation() -> None:
    net = network((2, 3), stack=2)
    columns = {OBSERVATION: torch.rand(B, T + 1, 2, 3), "previous_reward": torch.rand(B, T)}
    read = net.inputs.read(columns | {"previous_action": torch.zeros(B, T)})
    assert net.encode(read).shape == (T, B, 8 + A + 1)
