"""Laws of the memory test: the short memory is what a restart k steps ago gives, and an unlimited one is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ACTIONS, Ending, ScriptedEnvironments, Setup, inputs_of
from run_cases import call, new_run, tiny

from r2d2.agent.networks import QNetwork
from r2d2.config import to_dict
from r2d2.config.parts import CoreName
from r2d2.envs.make import make
from r2d2.runtime.greedy import make_greedy, play
from r2d2.runtime.short_memory import ShortMemory, play_with_memory

EPISODES = (Ending(9), Ending(1), Ending(14, truncated=True), Ending(5))


def varied() -> QNetwork:
    """A network whose greedy actions change from step to step."""
    network = Setup().network(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(0.0 if "head" in name and "bias" in name else 2.0)
    return network


def environments() -> ScriptedEnvironments:
    return ScriptedEnvironments(4, (3,), "float32", EPISODES)


@pytest.mark.parametrize("core", ["lstm", "gru"])
@pytest.mark.parametrize("history", [1, 2, 3, 7])
def test_its_q_values_are_those_of_the_last_k_observations_from_zero(core: CoreName, history: int) -> None:
    """Against the network unrolled over that window, in the middle of episodes and near their starts."""
    network = Setup(core=core, stack=1).network(0)
    memory = ShortMemory(network, history)
    torch.manual_seed(0)
    steps, begin = 12, 5  # the second episode begins at step 5 in the first slot
    x, actions = torch.randn(steps, 2, 3), torch.randint(0, ACTIONS + 1, (steps, 2))
    rewards, state = torch.randn(steps, 2), torch.zeros(2, memory.core_size)
    for t in range(steps):
        if t == begin:
            state[0] = 0.0
        one = slice(t, t + 1)
        with torch.no_grad():
            q, state = memory.step(inputs_of(x[one], actions[one], rewards[one]), state)
        for slot in (0, 1):
            start = begin if slot == 0 and t >= begin else 0
            best = []
            for first in (start, max(start, t - history + 1)):  # the whole episode, and the window
                rows = slice(first, t + 1), slice(slot, slot + 1)
                with torch.no_grad():
                    inputs = network.encode(inputs_of(x[rows], actions[rows], rewards[rows]))
                    values = network.values(network.unroll(inputs, torch.zeros(1, network.core_size))[0])[
                        -1, 0
                    ]
                best.append(values)
            torch.testing.assert_close(q[slot], best[1])
            torch.testing.assert_close(memory.max_q[t][slot], torch.stack([v.max() for v in best]))
            assert bool(memory.equal[t][slot]) == (int(best[0].argmax()) == int(best[1].argmax()))


class Recorded:
    """Environments that remember the actions they were given."""

    def __init__(self) -> None:
        self.inner = environments()
        self.num_envs = self.inner.num_envs
        self.actions: list[list[int]] = []

    def reset(self, seed: int) -> Any:
        return self.inner.reset(seed)

    def step(self, action: Any) -> Any:
        self.actions.append(action.tolist())
        return self.inner.step(action)


@pytest.mark.parametrize("history", [None, 14, 50])
def test_a_memory_of_the_whole_episode_equals_normal_evaluation(history: int | None) -> None:
    """The same actions, returns and lengths, exactly; the two memories agree everywhere."""
    network = varied()
    normal, tested = Recorded(), Recorded()
    played = play(make_greedy(normal, network), 3)
    found = play_with_memory(tested, network, history, seed=3)
    assert tested.actions == normal.actions
    assert len({tuple(actions) for actions in normal.actions}) > 5
    assert found["returns"] == [episode.total for episode in played]
    assert found["lengths"] == [episode.length for episode in played]
    assert found["equal_actions"] == 1.0
    assert found["max_q_difference"] < 1e-6 if history else found["max_q_difference"] == 0.0
    assert found["history"] == history


def test_the_policy_acts_with_the_short_memory_and_only_its_own_steps_count() -> None:
    """One observation is all that it sees: so actions differ from normal ones, and at an episode's first step,
    where there is no more to remember, both memories agree. Steps after a slot's first episode are left out."""
    network = varied()
    normal, tested = Recorded(), Recorded()
    play(make_greedy(normal, network), 3)
    found = play_with_memory(tested, network, 1, seed=3)
    assert tested.actions[0] == normal.actions[0]
    assert tested.actions != normal.actions
    memory = ShortMemory(network, 1)
    actor = make_greedy(environments(), memory)  # type: ignore[arg-type]
    play(actor, 3)
    lengths = [9, 1, 14, 5]
    assert found["lengths"] == lengths
    gaps = [
        abs(memory.max_q[t][i, 0] - memory.max_q[t][i, 1]) for i, n in enumerate(lengths) for t in range(n)
    ]
    equal = [bool(memory.equal[t][i]) for i, n in enumerate(lengths) for t in range(n)]
    assert found["max_q_difference"] == pytest.approx(float(np.mean(gaps)), rel=1e-5)
    assert found["equal_actions"] == pytest.approx(np.mean(equal))
    assert 0 < found["equal_actions"] < 1


def test_it_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(ValueError, match=r"recurrent network, got network\.core none"):
        play_with_memory(environments(), Setup(core="none").network(), 3, seed=0)
    with pytest.raises(ValueError, match=r"at least 1 observation.*got 0"):
        play_with_memory(environments(), Setup().network(), 0, seed=0)


def test_the_command_tests_a_saved_network_and_keeps_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(run__steps=60)
    (tmp_path / "config.json").write_text(json.dumps({"preset": "r2d2", "config": to_dict(config)}))
    run = new_run(config, tmp_path)
    run.train()
    output = call(capsys, "evaluate", tmp_path, "--memory", 1, 4, "--episodes", 3, "--seed", 5)
    assert output.code == 0, output.err
    assert output.out.count("memory of") == 3
    (file,) = (tmp_path / "evaluations").glob("*-memory-3x-seed5.json")
    tests = json.loads(file.read_text())["memory"]
    assert [test["history"] for test in tests] == [1, 4, None]
    normal = play(make_greedy(make("CartPole-v1", 3), run.learner.network), 5)
    assert tests[-1]["returns"] == [episode.total for episode in normal]


def test_a_network_is_left_as_it_was() -> None:
    network: QNetwork = Setup().network(0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    play_with_memory(environments(), network, 2, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
