"""Laws of evaluation: greedy, repeatable, on paper, and filmed where a picture exists."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
from run_cases import PONG, arguments, call, new_run, tiny

from r2d2.agent.actor import Episode
from r2d2.agent.networks import parameter_hash
from r2d2.config import Config, to_dict
from r2d2.runtime.greedy import film, film_set, make_greedy, play, summary


def saved_run(folder: Path, config: Config) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"preset": "dqn", "config": to_dict(config)}))
    new_run(config, folder).train()
    return folder


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_run(tmp_path_factory.mktemp("runs") / "cartpole", tiny(run__steps=80))


@pytest.fixture(scope="module")
def pong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes: dict[str, Any] = {key.replace(".", "__"): value for key, value in PONG.items()}
    changes |= {"run__steps": 20, "replay__min_steps": 1000}
    return saved_run(tmp_path_factory.mktemp("runs") / "pong", tiny(**changes))


def result(output: Any) -> dict[str, Any]:
    """The numbers in the file that the output names."""
    assert output.code == 0, output.err
    (file,) = re.findall(r"^all numbers: (.*)$", output.out, re.MULTILINE)
    written: dict[str, Any] = json.loads(Path(file).read_text())
    return written


def test_an_evaluation_is_printed_kept_and_repeatable(
    cartpole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean and its interval in one line first; the rest is in the file."""
    output = call(capsys, "evaluate", cartpole, "--episodes", 4, "--seed", 5)
    first = result(output)
    mean = float(np.mean(first["returns"]))
    line = output.out.splitlines()[0]
    low, high = map(float, re.findall(r"interval ([\d.]+) to ([\d.]+)", line)[0])
    assert line.startswith(f"mean return {mean:,.2f}, 95 % interval ")
    assert line.endswith("(4 episodes)")
    assert min(first["returns"]) <= low <= mean <= high <= max(first["returns"])
    assert "{" not in output.out
    (file,) = (cartpole / "evaluations").glob("*4x-seed5.json")
    assert json.loads(file.read_text()) == first
    assert len(first["returns"]) == len(first["lengths"]) == 4
    assert first["returns"] == first["lengths"]  # CartPole pays 1 a step
    assert first["evaluate/mean_return"] == np.mean(first["returns"])
    assert result(call(capsys, "evaluate", cartpole, "--episodes", 4, "--seed", 5)) == first
    other = result(call(capsys, "evaluate", cartpole, "--episodes", 8, "--seed", 900))
    assert other["returns"] != first["returns"]


def test_an_evaluation_reads_a_run_and_leaves_it_alone(
    cartpole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def content() -> dict[str, bytes]:
        files = [
            file for file in sorted(cartpole.rglob("*")) if file.is_file() and "evaluations" not in file.parts
        ]
        return {str(file): file.read_bytes() for file in files}

    before = content()
    result(call(capsys, "evaluate", cartpole, "--episodes", 2))
    assert content() == before


def test_a_task_without_a_picture_is_refused_before_it_is_played(
    cartpole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("pygame") is not None:
        pytest.skip("pygame is installed")
    output = call(capsys, "evaluate", cartpole, "--video", "--seed", 77)
    assert output.code == 2
    assert "pygame" in output.err
    assert "Traceback" not in output.err
    assert not list(cartpole.rglob("*seed77*"))


def test_without_imageio_the_extra_is_named(
    pong: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imageio" else found(name))
    output = call(capsys, "evaluate", pong, "--video")
    assert output.code == 2
    assert "[video]'" in output.err


def test_without_imageio_a_run_trains_and_says_once_that_there_are_no_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imageio" else found(name))
    words = arguments(run__steps=200, run__evaluate_period=40, run__video_period=1)
    output = call(capsys, "train", "dqn", *words, "--run-dir", tmp_path / "run")
    assert output.code == 0, output.err
    text = output.out + output.err
    assert text.count("no videos from now on: a video needs imageio") == 1
    assert text.count("evaluation at") > 2


def test_a_video_of_pong_can_be_played(pong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All frames of one episode in the console's own shape, and pictures that move."""
    output = result(call(capsys, "evaluate", pong, "--episodes", 1, "--video", "--seed", 3))
    frames = np.stack(imageio.mimread(output["video"]["file"], memtest=False))
    assert frames.shape[1:] == (210, 160, 3)
    assert (
        abs(len(frames) - (output["lengths"][0] + 1)) <= 1
    )  # the same episode: the first picture and one a step
    assert output["video"]["return"] == output["returns"][0]
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 50
    assert [file.name for file in (pong / "videos").iterdir()] == ["ckpt-00000001-seed3.mp4"]


def test_every_second_evaluation_can_be_filmed_while_training(tmp_path: Path) -> None:
    recall = {"env__id": "Recall-v0", "run__evaluate_period": 40, "run__video_period": 2}
    new_run(tiny(run__steps=170, **recall), tmp_path).train()
    assert len(list((tmp_path / "videos").glob("step-*.mp4"))) == 2


class ScriptedActor:
    """Slot 0 ends an episode at each step, slot 1 at each third one."""

    def __init__(self) -> None:
        self.environments = SimpleNamespace(num_envs=2)
        self.episodes: deque[Episode] = deque()
        self.steps = 0

    def reset(self, seed: int) -> None:
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        self.episodes.append(Episode(0, float(self.steps), 1))
        if self.steps % 3 == 0:
            self.episodes.append(Episode(1, 50.0, 3))


def test_the_first_episode_of_each_slot_counts_though_another_ends_often() -> None:
    """The first episodes to end would be the short ones."""
    actor: Any = ScriptedActor()
    assert play(actor, 0) == [Episode(0, 1.0, 1), Episode(1, 50.0, 3)]


def test_the_film_shows_the_episode_of_its_seed(tmp_path: Path) -> None:
    """The same as an unfilmed one of that seed: a video explains a number in the table."""
    run = new_run(tiny(env__id="Recall-v0", env__num_envs=1), tmp_path)
    single = film_set(run.config)
    unfilmed, filmed = (
        make_greedy(environments, run.learner.network) for environments in (run.environments, single)
    )
    seeds: list[int] = []
    reset = filmed.reset

    def noting(seed: int) -> None:
        seeds.append(seed)
        reset(seed)

    filmed.reset = noting  # type: ignore[method-assign]
    assert film(filmed, single, 7, tmp_path / "7.mp4") == play(unfilmed, 7)[0]
    assert seeds == [7]


def test_one_episode_of_every_environment_counts_and_short_ones_are_not_favored(tmp_path: Path) -> None:
    run = new_run(tiny(env__num_envs=4), tmp_path)
    greedy = make_greedy(run.environments, run.learner.network)
    episodes = play(greedy, seed=9)
    assert [episode.slot for episode in episodes] == [0, 1, 2, 3]
    alone = [play(greedy_of(tmp_path / str(i)), seed=9 + i)[0] for i in range(4)]
    assert [episode.total for episode in episodes] == [episode.total for episode in alone]


def greedy_of(folder: Path) -> Any:
    run = new_run(tiny(env__num_envs=1), folder)
    return make_greedy(run.environments, run.learner.network)


def test_a_greedy_actor_takes_the_best_action(tmp_path: Path) -> None:
    """With an output layer that prefers one action by far, each step takes it."""
    run = new_run(tiny(), tmp_path)
    head: Any = run.learner.network.head
    head.advantage[-1].bias.data[:] = head.advantage[-1].bias.new_tensor([-1e6, 1e6])
    greedy = make_greedy(run.environments, run.learner.network)
    greedy.reset(0)
    rows = [greedy.step()[0] for _ in range(50)]
    assert all((row.values["action"][~row.last] == 1).all() for row in rows)


def test_the_summary_is_the_arithmetic_of_the_returns() -> None:
    episodes = [Episode(0, 1.0, 10), Episode(1, 2.0, 20), Episode(2, 9.0, 60)]
    assert summary(episodes) == {
        "evaluate/mean_return": 4.0,
        "evaluate/median_return": 2.0,
        "evaluate/min_return": 1.0,
        "evaluate/max_return": 9.0,
        "evaluate/mean_length": 30.0,
    }


def test_the_parameter_hash_sees_one_bit(tmp_path: Path) -> None:
    network = new_run(tiny(), tmp_path).learner.network
    before = parameter_hash(network)
    assert parameter_hash(network) == before
    weight = next(iter(network.parameters())).data.view(-1)
    weight[0] = float(np.nextafter(np.float32(weight[0].item()), np.float32(9)))
    assert parameter_hash(network) != before
