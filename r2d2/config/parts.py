"""Parts: the names that a config chooses from, and where each part is.

Adding a part takes one file in its room, which documents the interface, and one line here. The choices of the
config, the size report and the tests of each kind come from these tables. Nothing is imported until it is
loaded, so the command line knows all the names without torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

Table = Mapping[str, str]  # name -> "module:attribute"

TORSOS: Table = {
    "nature": "r2d2.agent.torsos.convolutional:nature",
    "small": "r2d2.agent.torsos.convolutional:small",
    "impala": "r2d2.agent.torsos.impala:Impala",
    "grid": "r2d2.agent.torsos.grid:Grid",
    "mlp": "r2d2.agent.torsos.mlp:MLP",
}
CORES: Table = {
    "lstm": "r2d2.agent.cores.lstm:LSTM",
    "gru": "r2d2.agent.cores.gru:GRU",
    "lru": "r2d2.agent.cores.lru:LRU",
    "mingru": "r2d2.agent.cores.mingru:MinGRU",
    "ffm": "r2d2.agent.cores.ffm:FFM",
    "none": "r2d2.agent.cores.none:NoCore",
}
HEADS: Table = {
    "dueling": "r2d2.agent.heads.dueling:Dueling",
    "plain": "r2d2.agent.heads.plain:Plain",
    "c51": "r2d2.agent.heads.distributional:C51",
    "hl-gauss": "r2d2.agent.heads.distributional:HLGauss",
    "quantile": "r2d2.agent.heads.distributional:Quantiles",
}
SELECTORS: Table = {
    "proportional": "r2d2.replay.selectors.proportional:Proportional",
    "rank": "r2d2.replay.selectors.rank_based:RankBased",
    "uniform": "r2d2.replay.selectors.uniform:Uniform",
    "recency": "r2d2.replay.selectors.recency:Recency",
}
REMOVERS: Table = {
    "fifo": "r2d2.replay.removers.fifo:Fifo",
    "reservoir": "r2d2.replay.removers.reservoir:Reservoir",
    "lowest": "r2d2.replay.removers.lowest_priority:LowestPriority",
    "soft": "r2d2.replay.removers.soft_fifo:SoftFifo",
}

if TYPE_CHECKING:
    TorsoName = str
    CoreName = str
    HeadName = str
    SelectorName = str
    RemoverName = str
else:  # what the config and the command line accept
    TorsoName, CoreName, HeadName, SelectorName, RemoverName = (
        Literal[tuple(table)] for table in (TORSOS, CORES, HEADS, SELECTORS, REMOVERS)
    )


def load(table: Table, name: str) -> Any:
    """The part of that name; ValueError if there is none.

    >>> load({"comb": "math:comb"}, "comb")(4, 2)
    6
    """
    if name not in table:
        raise ValueError(f"unknown part {name!r}: choose one of {', '.join(table)}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)


def make(table: Table, name: str, settings: Mapping[str, Any]) -> Any:
    """The part of that name, made with those of the `settings` that it has parameters for.

    So one set of settings makes every part of a kind. Raises ValueError for an unknown name, and TypeError if a
    parameter without a default is not among the settings.
    """
    part = load(table, name)
    known = inspect.signature(part).parameters
    return part(**{key: value for key, value in settings.items() if key in known})
