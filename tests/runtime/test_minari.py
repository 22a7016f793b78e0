"""Laws of Minari datasets, with the real package: what is written reads back, and any of this environment is
taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from run_cases import call, lines, new_run, tiny

from r2d2.build import environments
from r2d2.config import Config, to_dict
from r2d2.dataset.dataset import Dataset, DatasetError, Spec, export
from r2d2.replay import Mixture, Replay
from r2d2.runtime.minari import MinariEpisodes, write_minari

minari = pytest.importorskip("minari")

CASES: dict[str, dict[str, Any]] = {
    "cartpole": {"env__id": "CartPole-v1"},
    "pendulum": {
        "env__id": "Pendulum-v1", "env__options": {"max_episode_steps": 30}, "network__core": "lstm",
        "learner__method": "sac", "learner__rescaling": False, "actor__exploration": "noise",
    },
    "pong": {"env__id": "ALE/Pong-v5", "env__options": {"max_frames": 200}},
    "recall": {"env__id": "Recall-v0", "env__options": {"delay": 5}, "network__stack": 1},
    "taxi": {"env__id": "Taxi-v4", "env__options": {"max_episode_steps": 20}, "network__stack": 1},
    "goals": {"env__id": "BitFlipping-v0", "env__options": {"bits": 4}, "network__stack": 1},
    "dict": {"env__id": "file:Lights", "network__stack": 1},
}  # fmt: skip
MODULE = """
import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

class Lights(gym.Env):
    observation_space = Dict({"inner": Dict({"lights": Box(0, 255, (30, 30, 3), np.uint8)}), "time": Discrete(9)})
    action_space = MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen(), {}

    def step(self, action):
        self.time += 1
        return self.seen(), float(action[0] * action[1]), self.time == 8, False, {}

    def seen(self):
        picture = self.np_random.integers(0, 256, (30, 30, 3), np.uint8)
        return {"inner": {"lights": picture}, "time": self.time}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def config_of(case: str, tmp_path: Path, **changes: Any) -> Config:
    values = CASES[case] | changes
    if case == "dict":
        (tmp_path / "lights_task.py").write_text(MODULE)
        values |= {"env__id": "lights_task.py:Lights", "env__folder": str(tmp_path)}
    return tiny(**values)


def recorded(config: Config, tmp_path: Path) -> Dataset:
    run = new_run(config, tmp_path / "recorder")
    run.train()
    assert isinstance(run.replay, Replay)
    spec = Spec.of(to_dict(config.env), run.environments.spec.num_actions, run.replay.columns)
    return export(run.replay, tmp_path / "dataset", spec, source={"config": to_dict(config)})


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_reads_back(case: str, tmp_path: Path) -> None:
    """Every column but the recorded Q values, bit for bit; vector actions to rounding, since they are scaled."""
    config = config_of(case, tmp_path, replay__min_steps=10_000, run__steps=100)
    source, spec = recorded(config, tmp_path), environments.spec(config)
    made = write_minari(source, "minari:ours/test-v0", spec)
    assert made.total_steps == source.head["steps"]
    again = MinariEpisodes("minari:ours/test-v0", config, spec)
    wanted = Spec(source.head["env"], source.head["num_actions"], source.head["columns"])
    wanted.check_takes(again, flag="--replay.demonstrations")
    assert again.index["steps"].tolist() == source.index["steps"].tolist()
    pairs = list(zip(source.read(), again.read(), strict=True))
    assert len(pairs) == source.head["episodes"] > 1
    for first, second in pairs:
        assert second.keys() == first.keys() - {"q_taken", "q_greedy", "log_probability"}
        whole = not first["previous_action"][0].any()  # else its beginning is lost, and so is what was before
        for name, column in second.items():
            assert column.dtype == first[name].dtype
            rows = slice(0 if whole or not name.startswith("previous_") else 1, None)
            if name == "action":
                rows = slice(0, -1)
            exact = "action" not in name or column.dtype == np.int32
            np.testing.assert_allclose(column[rows], first[name][rows], rtol=0, atol=0 if exact else 1e-6)
    assert again.checksum == MinariEpisodes("minari:ours/test-v0", config, spec).checksum


@pytest.mark.filterwarnings("ignore:.*is set to None", "ignore:env_spec is None")
@pytest.mark.parametrize("case", ["cartpole", "pendulum", "taxi", "dict"])
def test_what_another_program_recorded_is_what_our_vector_would_have_seen(case: str, tmp_path: Path) -> None:
    """Episodes of gymnasium's own environment, written by Minari, beside those of our vector with the same seed and
    actions."""
    config = config_of(case, tmp_path)
    env = _gym_env(case)
    observations = [env.reset(seed=5)[0]]
    actions, rewards, ends = [], [], []
    env.action_space.seed(3)
    while not (ends and ends[-1].any()):
        actions.append(env.action_space.sample())
        seen, reward, terminated, truncated, _ = env.step(actions[-1])
        observations.append(seen)
        rewards.append(reward)
        ends.append(np.array([terminated, truncated]))
    _write(env, observations, actions, rewards, ends)
    spec = environments.spec(config)
    source = MinariEpisodes("minari:other-v0", config, spec)
    (episode,) = source.read()
    vector = environments.vector(config, 1)
    shown = [vector.reset(5)]
    for t, action in enumerate(episode["action"][:-1]):
        result = vector.step(action[None])
        shown.append(result.observation)
        np.testing.assert_allclose(result.reward[0], episode["reward"][t], rtol=1e-5)
        assert (result.terminated[0], result.truncated[0]) == (
            episode["terminated"][t],
            episode["truncated"][t],
        )
    for part in spec.parts:
        truth = [seen[part.name] if isinstance(seen, dict) else seen for seen in shown]
        np.testing.assert_allclose(np.concatenate(truth), episode[part.name], rtol=1e-4, atol=1e-4)


def _gym_env(case: str) -> Any:
    if case == "dict":
        space: dict[str, Any] = {}
        exec(MODULE, space)
        return space["Lights"]()
    options = CASES[case].get("env__options", {})
    return gym.make(CASES[case]["env__id"], **options)


def _stacked(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {key: _stacked([value[key] for value in values]) for key in values[0]}
    return np.stack([np.asarray(value) for value in values])


def _write(env: Any, observations: Any, actions: Any, rewards: Any, ends: Any, **arguments: Any) -> None:
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(
        observations=_stacked(observations), actions=np.stack(actions), rewards=rewards,
        terminations=[end[0] for end in ends], truncations=[end[1] for end in ends], infos={},
    )  # fmt: skip
    minari.create_dataset_from_buffers(
        "other-v0", [buffer], observation_space=env.observation_space, action_space=env.action_space,
        env=env if env.spec else None, jpeg_encoding=False, **arguments,
    )  # fmt: skip


def test_the_command_writes_one_and_a_run_learns_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of("cartpole", tmp_path, replay__min_steps=10_000, run__steps=100)
    source = recorded(config, tmp_path)
    said = call(capsys, "replay", "minari", source.path, "minari:cartpole/any-v0")
    assert said.code == 0, said.err
    assert f"{source.head['steps']:,} steps in {source.head['episodes']:,} episodes" in said.out
    assert minari.load_dataset("cartpole/any-v0").env_spec.id == "CartPole-v1"
    changes = {
        "replay__demonstrations": "minari:cartpole/any-v0",
        "learner__batch": 8,
        "replay__replay_ratio": 8.0,
    }
    run = new_run(tiny(**changes), tmp_path / "run")
    run.train()
    assert isinstance(run.replay, Mixture)
    assert run.replay.frozen[0].steps_written == source.head["steps"]
    assert {line.get("replay/demonstration_share") for line in lines(tmp_path / "run")} >= {0.25}
    assert call(capsys, "replay", "minari", source.path, "minari:cartpole/any-v0").code != 0
    assert "must begin with minari:" in call(capsys, "replay", "minari", source.path, "any-v0").err


def test_other_datasets_are_refused_with_the_remedy(tmp_path: Path) -> None:
    config = config_of("cartpole", tmp_path)
    source = recorded(config_of("cartpole", tmp_path, replay__min_steps=10_000, run__steps=60), tmp_path)
    write_minari(source, "minari:cartpole-v0", environments.spec(config))

    def run(**changes: Any) -> None:
        new_run(
            tiny(**changes, replay__demonstrations="minari:cartpole-v0", learner__batch=8), tmp_path / "run"
        )

    with pytest.raises(
        DatasetError, match=r"--replay.demonstrations minari:cartpole-v0: actions of .*Discrete\(2\)"
    ):
        run(env__id="Acrobot-v1")
    with pytest.raises(
        ValueError, match=r"--replay.demonstrations minari:cartpole-v0.*train with --env.id CartPole-v1"
    ):
        run(env__id="CartPole-v0")
    with pytest.raises(ValueError, match=r"env.options must be .*train with --env.options"):
        run(env__options={"max_episode_steps": 77})
    with pytest.raises(DatasetError, match="minari:gone-v3 is not on this machine.*minari download gone-v3"):
        new_run(tiny(replay__demonstrations="minari:gone-v3", learner__batch=8), tmp_path / "run")
    with pytest.raises(DatasetError, match="minari:cartpole-v0 exists"):
        write_minari(source, "minari:cartpole-v0", environments.spec(config))


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(DatasetError, match=r"pip install 'r2d2-replay\[minari\]'"):
        new_run(tiny(replay__demonstrations="minari:any-v0", learner__batch=8), tmp_path)
