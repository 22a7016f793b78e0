"""The learner's benchmark runs, and what it compares compute the same thing. No time is asserted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from experiments.bench import context
from experiments.bench import learner as bench
from experiments.bench.learner_rivals import PlainLearner
from experiments.bench.timing import Measure
from r2d2.build import agents as build


@pytest.mark.parametrize("recurrence", ["fused", "cell"])
def test_a_rival_makes_the_same_update(recurrence):
    """Loss and priorities of ours for whole items, and the same gradient where burn-in is left out."""
    sizes = bench.replace(bench.QUICK, burn_in=0, unroll=4, n_step=2)
    batch, device = bench.made_up_batch(sizes), torch.device("cpu")
    config = bench.paper_config(sizes)
    ours = build.learner(config, build.network(config, bench.ATARI), device=device)
    rival = PlainLearner(bench.ACTIONS, recurrence, burn_in=0, unroll=4, n_step=2, device=device)
    for net in (rival.network, rival.target):
        for theirs, own in zip(net.parameters(), ours.network.parameters(), strict=True):
            theirs.data.copy_(own.data)
    update, (loss, priorities) = ours.update(batch), rival.update(batch)
    assert loss == pytest.approx(update.metrics["loss"], rel=1e-5)
    np.testing.assert_allclose(priorities, update.priorities, rtol=1e-4)
    for theirs, own in zip(rival.network.parameters(), ours.network.parameters(), strict=True):
        assert (theirs.grad - own.grad).norm() < 1e-4 * own.grad.norm()


def test_the_benchmark_writes_its_results(tmp_path):
    pytest.importorskip("ale_py")
    threads = torch.get_num_threads()
    try:
        assert bench.main(["--quick", "--threads", "1", "--out", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    report = json.loads((tmp_path / "results.json").read_text())
    names = set(report["measures"])
    assert names >= {
        "ours float32", "plain PyTorch", "LSTMCell loop", "ALE alone, small", "actor, small", "actor, paper"
    }  # fmt: skip
    assert all(found["median"] > 0 for found in report["measures"].values())
    assert set(report["ratios"]) >= {
        "plain PyTorch / ours float32",
        "LSTMCell loop / ours float32",
        "ALE alone, small / actor, small",
    }
    text = (tmp_path / "results.md").read_text()
    assert all(name in text for name in [*report["measures"], *report["ratios"]])
    assert str(tmp_path) not in text + json.dumps(report)


def test_the_benchmark_of_contexts_writes_its_results(tmp_path):
    pytest.importorskip("ale_py")
    threads = torch.get_num_threads()
    try:
        assert context.main(["--quick", "--threads", "1", "--out", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    (found,) = json.loads((tmp_path / "context.json").read_text())["shapes"].values()
    for name in ("update", "update, batch read", "acting step"):
        assert all(found[f"{name}, {kind}"]["median"] > 0 for kind in ("learned", "frozen", "ratio"))
        assert f"| 10 + 20 + 5 | {name} | " in (tmp_path / "context.md").read_text()


def test_ratios_are_taken_round_by_round():
    """A slow round that hits both sides leaves the ratio as it was."""
    measures = {
        "plain PyTorch": Measure("s", [2.0, 20.0, 6.0]),
        "LSTMCell loop": Measure("s", [4.0, 40.0, 12.0]),
        "ours float32": Measure("s", [1.0, 10.0, 2.0]),
    }
    found = bench.ratios(measures)["plain PyTorch / ours float32"]
    assert (found["median"], found["min"], found["max"]) == (2.0, 2.0, 3.0)
