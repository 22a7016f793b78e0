"""The control study: every agent is a run that may be made, and the page says what came of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.control import peer
from experiments.control.__main__ import page, peer_file, write
from experiments.control.cells import AGENTS, cell
from experiments.control.rows import curve, score
from experiments.processor_time import CPU
from experiments.replay.evidence import read_rows
from experiments.study import Job
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import check_config
from r2d2.runs.folder import PROVENANCE, write_json


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_may_be_trained(name: str) -> None:
    if AGENTS[name].task == "cheetah":
        pytest.importorskip("mujoco")
    config = cell(name, {"run.threads": 1}).config
    check_config(config)
    build.check_actions(config, environments.spec(config))


def test_a_cue_lies_before_all_that_a_sequence_spans() -> None:
    config = cell("cue-stored", {}).config
    r = config.replay
    assert r.burn_in + r.unroll + r.n_step < config.env.options["delay"] + 1


def test_the_score_of_a_run_and_the_page(tmp_path: Path) -> None:
    job = Job(cell("masked-rsac", {}), 3, tmp_path)
    lines: list[dict[str, Any]] = [
        {"env_steps": 100 * k, "updates": k, "wall_seconds": 2.0 * k, "evaluate/mean_return": value}
        for k, value in enumerate((-900.0, -190.0, -150.0, -170.0), 1)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [row["mean_return"] for row in curve(job)] == [-900.0, -190.0, -150.0, -170.0]
    found = score(job)
    assert (found["last"], found["best"], found["solved_at"]) == (-170.0, -150.0, 200)
    assert score(job)["cpu_seconds"] is None
    write_json(tmp_path / PROVENANCE, [{}])
    write_json(tmp_path / CPU, {"0": 7.5})
    assert score(job)["cpu_seconds"] == 7.5
    other = found | {"seed": 4, "solved_at": None, "last": -400.0, "cpu_seconds": 12.0}
    (line,) = [text for text in page([found, other], "make control").splitlines() if "masked-rsac" in text]
    assert line == "| masked | masked-rsac | 2 | -285 | -400 | 1 of 2 | 200 | 400 | 12 |"


def test_results_of_other_machines_stay_and_runs_made_again_replace_theirs(tmp_path: Path) -> None:
    def play(runs: str, agent: str, seed: int, score: float) -> Path:
        file = peer_file(tmp_path / runs, agent, seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        line = {"env_steps": 5000, "score": score, "wall_seconds": 3.0, "cpu_seconds": 2.0}
        file.write_text(json.dumps(line) + "\n")
        return tmp_path / runs

    out = tmp_path / "out"
    first = play("first", "sb3-sac", 0, -900.0)
    play("first", "sb3-td3", 1, -300.0)
    write(first, out, {})
    write(play("second", "sb3-sac", 0, -150.0), out, {})
    found = {(row["agent"], row["seed"]): row["last"] for row in read_rows(out / "scores.csv")}
    assert found == {("sb3-sac", 0): -150.0, ("sb3-td3", 1): -300.0}
    assert len(read_rows(out / "curves.csv")) == 2
    assert (
        "| pendulum | sb3-td3 | 1 | -300 | -300 | 0 of 1 | never | 5,000 | 2 |"
        in (out / "README.md").read_text()
    )


def test_a_peer_is_trained_and_evaluated_as_ours_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("stable_baselines3")
    file = peer_file(tmp_path, "sb3-sac", 0)
    monkeypatch.setattr("sys.argv", ["peer", "sb3-sac", "0", str(file), "--steps", "110"])
    peer.main()
    (line,) = (json.loads(text) for text in file.read_text().splitlines())
    assert line["env_steps"] == 110
    assert -2000 < line["score"] < 0
    assert line["cpu_seconds"] > 0
