"""The laws of every head that there is a name for."""

from __future__ import annotations

import typing
from typing import Any

import pytest
import torch

from r2d2.agent.precision import Output
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import HEADS, HeadName
from r2d2.config.parts import make as make_part

pytestmark = pytest.mark.parametrize("head", HEADS)

WIDTH, ACTIONS = 16, 5


def make(head: str) -> Any:
    torch.manual_seed(0)
    config = NetworkConfig(hidden=32)
    return make_part(HEADS, head, {"inputs": WIDTH, "actions": ACTIONS, "config": config, "rescaling": False})


@torch.no_grad()
def test_it_gives_a_value_for_each_action_of_each_output(head: str) -> None:
    made, outputs = make(head), torch.randn(3, 2, WIDTH)
    q = made(outputs)
    assert q.shape == (3, 2, ACTIONS)
    torch.testing.assert_close(made(outputs[1]), q[1])
    assert q.std(-1).min() > 1e-3  # actions are told apart
    assert q.std((0, 1)).min() > 1e-3  # and so are outputs


@torch.no_grad()
def test_its_last_layer_is_float32_under_autocast(head: str) -> None:
    """Q values near 100 stay apart that differ by less than bfloat16's step there, which is 1/2, although the
    layers before the last compute in bfloat16. Those of distributional heads are means, and never that large."""
    made = make(head)
    linears = [module for module in made.modules() if isinstance(module, torch.nn.Linear)]
    last = [module for module in linears if isinstance(module, Output)]
    assert 0 < len(last) < len(linears)
    for module in last:
        module.weight.zero_()
        module.bias.copy_(100 + 0.01 * torch.arange(module.out_features))
    dtypes: dict[torch.nn.Module, torch.dtype] = {}
    for module in linears:
        module.register_forward_hook(lambda module, _, out: dtypes.__setitem__(module, out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        q = made(torch.randn(2, WIDTH))
    assert {dtypes[module] for module in last} == {torch.float32}
    assert {dtypes[module] for module in linears if module not in last} == {torch.bfloat16}
    assert q.dtype == torch.float32
    if head not in ("c51", "hl-gauss", "quantile"):
        torch.testing.assert_close(q.diff(dim=-1), torch.full((2, ACTIONS - 1), 0.01), rtol=0, atol=1e-4)


def test_it_has_a_name_in_the_config(head: str) -> None:
    assert head in typing.get_args(HeadName)
