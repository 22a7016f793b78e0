"""Laws of building: each preset trains as it is, and each number of a config reaches the part it is for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from run_cases import differences, new_run, tiny

from r2d2.agent.actor import Actor
from r2d2.agent.losses import Priority
from r2d2.build import agents as build
from r2d2.build import replays as build_replay
from r2d2.build import sizes
from r2d2.config import Config, from_dict, to_dict
from r2d2.config.presets import PRESETS
from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvError, EnvSpec
from r2d2.replay import (
    Combined,
    Fifo,
    LowestPriority,
    Mixture,
    Proportional,
    RankBased,
    Recency,
    Replay,
    Reservoir,
    SoftFifo,
    Uniform,
)
from r2d2.runtime.meter import replay_measures
from r2d2.types import SequenceLayout


def spec(*shape: int, dtype: str) -> EnvSpec:
    """Three actions, and observations of this shape."""
    space = Box(0, 255, shape, dtype)  # type: ignore[arg-type]
    return EnvSpec("Made-up-v0", parts_of(space, "Made-up-v0"), 3, None)


VECTOR = spec(4, dtype="float32")


def preset(name: str, env_id: str, *, count: int, batch: int, ratio: float) -> Config:
    """The method as it is, with sizes for a second of work."""
    values: dict[str, Any] = to_dict(PRESETS[name])
    values["env"] |= {"id": env_id, "num_envs": count, "threads": 1}
    values["replay"] |= {"steps": 2000, "min_steps": 20, "replay_ratio": ratio}
    values["learner"]["batch"] = batch
    values["run"] |= {"threads": 1, "track": "none", "device": "cpu"}
    config: Config = from_dict(values)
    return config


def two_updates(config: Config, folder: Path) -> None:
    run = new_run(config, folder)
    before = {name: value.clone() for name, value in run.learner.network.state_dict().items()}
    for _ in range(400):
        run.act(cut=False)
        run._learn()
        run._refresh_actor()
        if run.learner.updates >= 2:
            break
    assert run.learner.updates >= 2
    after = run.learner.network.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert len(differences(before, dict(after))) == len(before)  # every parameter has a gradient
    assert np.isfinite(list(run.meter.take().values())).all()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_from_vectors(name: str, tmp_path: Path) -> None:
    env_id = "BitFlipping-v0" if name == "her" else "CartPole-v1"
    if PRESETS[name].learner.method != "q_learning":
        env_id = "Pendulum-v1"
    two_updates(preset(name, env_id, count=4, batch=4, ratio=8.0), tmp_path)


@pytest.mark.parametrize(
    ("name", "env_id", "message"),
    [
        ("r2d2", "Pendulum-v1", "vectors of 1 as actions.*use preset sac, td3 or ddpg, or with memory rsac"),
        ("sac", "CartPole-v1", "has 2 actions.*use preset dqn or r2d2"),
    ],
)
def test_a_preset_for_other_actions_is_refused_and_one_that_would_do_is_named(
    name: str, env_id: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(EnvError, match=message):
        new_run(preset(name, env_id, count=2, batch=2, ratio=2.0), tmp_path)


@pytest.mark.parametrize("name", ["r2d2", "r2d2-small", "dqn"])
def test_presets_learn_from_frames_of_a_game(name: str, tmp_path: Path) -> None:
    two_updates(preset(name, "ALE/Pong-v5", count=2, batch=2, ratio=2.0), tmp_path)


def test_every_number_of_the_replay_reaches_its_part() -> None:
    config = tiny(
        replay__steps=700, replay__burn_in=3, replay__unroll=9, replay__n_step=4, replay__period=6,
        replay__alpha=0.7, replay__block=11, network__stack=3,
    )  # fmt: skip
    made = build_replay.replay(config, VECTOR)
    sequencer = made.sequencer
    assert (sequencer.burn_in, sequencer.unroll, sequencer.n_step, sequencer.period) == (3, 9, 4, 6)
    assert sequencer.context == 2
    assert made.storage.block == 11
    assert made.capacity == -(-700 * 5 // (4 * 6))
    assert isinstance(made.selector, Proportional)
    assert made.selector.alpha == 0.7
    assert {column.codec for column in made.columns.values()} == {"raw"}  # vectors are never compressed
    frames = build_replay.replay(config, spec(42, 42, dtype="uint8"))
    assert frames.columns["observation"].codec == config.replay.codec == "lz4"
    uniform = build_replay.replay(tiny(replay__selector="uniform"), VECTOR)
    assert isinstance(uniform.selector, Uniform)


def test_every_number_of_the_learner_reaches_it() -> None:
    config = tiny(
        learner__discount=0.9, learner__learning_rate=0.01, learner__adam_epsilon=0.02,
        learner__max_grad_norm=3.0, learner__target_period=11, learner__double=False, learner__rescaling=False,
        learner__reward_clip=2.0, learner__precision="bfloat16", learner__target_averaging=0.2, replay__eta=0.3,
        replay__initial_state="zero", replay__burn_in=3, replay__unroll=9, replay__n_step=4,
    )  # fmt: skip
    net = build.network(config, VECTOR)
    made = build.learner(config, net, device=torch.device("cpu"))
    (group,) = made.optimizer.param_groups
    assert (group["lr"], group["eps"]) == (0.01, 0.02)
    assert made.config == config.learner
    assert made.layout == SequenceLayout(3, 9, 4, config.replay.period, config.network.stack - 1)
    assert made.priority == Priority("mixed", 0.3)
    assert (made.initial_state, made.precision) == ("zero", torch.bfloat16)
    config = tiny(
        learner__optimizer="rmsprop", learner__learning_rate=0.01, learner__min_squared_gradient=0.03
    )
    (group,) = build.learner(config, net, device=torch.device("cpu")).optimizer.param_groups
    assert (group["lr"], group["epsilon"], group["decay"]) == (0.01, 0.03, 0.95)
    assert build.limiter(tiny(replay__replay_ratio=1.5, replay__min_steps=77)).replay_ratio == 1.5
    assert build.limiter(tiny(replay__replay_ratio=1.5, replay__min_steps=77)).min_steps == 77


def test_the_learning_rate_falls_in_a_line_to_its_share_at_the_end_of_the_run() -> None:
    falling = tiny(learner__learning_rate=0.02, learner__learning_rate_end=0.25, run__steps=1000)
    found = [build.learning_rate(falling, steps) for steps in (0, 500, 1000, 2000)]
    assert found == pytest.approx([0.02, 0.0125, 0.005, 0.005])
    constant = tiny(learner__learning_rate=0.02, run__steps=1000)
    assert {build.learning_rate(constant, steps) for steps in range(0, 1001, 77)} == {0.02}


def test_a_batch_has_more_short_items_where_it_is_to_have_so_many_steps() -> None:
    """With whole episodes they are as long as the longest; what is resolved stays as it is."""
    fixed = build.resolved(tiny(learner__batch_steps=100, replay__unroll=9), VECTOR)
    assert fixed.learner.batch == 11
    whole = tiny(learner__batch=3, learner__batch_steps=100, replay__initial_state="episode")
    for longest, batch in ((4, 12), (20, 5), (1000, 3)):  # the unroll stays at 8 if that is longer
        found = build.resolved(whole, dataclasses.replace(VECTOR, max_episode_steps=longest))
        assert found.learner.batch == batch
        assert build.resolved(found, dataclasses.replace(VECTOR, max_episode_steps=longest)) == found
    assert build.resolved(tiny(learner__batch=7), VECTOR).learner.batch == 7


def test_a_batch_has_more_episodes_where_they_are_shorter_than_the_longest() -> None:
    """At least `batch_steps` over a fifth, at most `batch_steps`. Fixed windows and CUDA graphs keep one size, and
    never ask for the mean length, which takes a look at every item."""

    def never() -> float:
        raise AssertionError

    whole = tiny(learner__batch=3, learner__batch_steps=100, replay__initial_state="episode")
    config = build.resolved(whole, dataclasses.replace(VECTOR, max_episode_steps=20))
    assert config.learner.batch == 5
    assert [build_replay.batch_items(config, lambda: length) for length in (0.0, 20.0, 25.0)] == [5, 5, 5]  # noqa: B023
    for length in np.linspace(1.0, 16.0, 50):
        steps = build_replay.batch_items(config, lambda: length) * length  # noqa: B023
        assert 100 / 1.2 - length < steps <= 100
    for fixed in (
        tiny(learner__batch_steps=100),
        dataclasses.replace(config, learner=dataclasses.replace(config.learner, graphs=True)),
    ):
        assert build_replay.batch_items(fixed, never) == fixed.learner.batch


def test_dqns_networks_have_the_layers_of_their_papers() -> None:
    """Mnih et al. 2015: 1,685,154 parameters for 4 actions. Wang et al. 2016: two streams of 512 instead of one."""
    frames = spec(84, 84, dtype="uint8")

    def parameters(name: str) -> int:
        net = build.network(PRESETS[name], frames)
        return sum(parameter.numel() for parameter in net.parameters())

    actions = frames.num_actions
    convolutions = 4 * 32 * 64 + 32 + 32 * 64 * 16 + 64 + 64 * 64 * 9 + 64
    stream = 7 * 7 * 64 * 512 + 512
    assert parameters("dqn") == convolutions + stream + 513 * actions
    assert parameters("apex") == convolutions + 2 * stream + 513 * (actions + 1)


@pytest.mark.parametrize(("first_priority", "same"), [("highest", True), ("actor", False)])
def test_first_priorities_are_the_actors_or_the_highest(
    first_priority: str, same: bool, tmp_path: Path
) -> None:
    run = new_run(tiny(replay__first_priority=first_priority, replay__min_steps=1000), tmp_path)
    for _ in range(60):
        run.act(cut=False)
    assert (len(np.unique(run.replay.priorities())) == 1) == same
    assert len(run.replay) > 5


def test_the_network_follows_the_config() -> None:
    config = tiny(network__core="gru", network__core_width=24, network__features=20, network__head="plain")
    net = build.network(config, VECTOR)
    assert isinstance(net.core, torch.nn.GRU)
    assert (net.core.input_size, net.core.hidden_size) == (20 + 3 + 1, 24)
    assert isinstance(net.head, torch.nn.Sequential)
    plain = build.network(tiny(network__core="none", network__previous_inputs=False), VECTOR)
    assert plain.core_size == 0
    biased = build.network(tiny(network__forget_bias=2.0), VECTOR)
    unbiased = build.network(tiny(), VECTOR)
    difference = differences(dict(unbiased.state_dict()), dict(biased.state_dict()))
    assert difference == ["/core.bias_hh_l0"]


def test_weights_depend_on_the_seed_alone() -> None:
    """Not on what torch drew before; and torch's own generator is left where it was."""
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build.network(tiny(run__seed=1), VECTOR).state_dict()
    assert (torch.random.get_rng_state() == before).all()
    torch.rand(3)
    again = build.network(tiny(run__seed=1), VECTOR).state_dict()
    other = build.network(tiny(run__seed=2), VECTOR).state_dict()
    assert differences(dict(first), dict(again)) == []
    assert differences(dict(first), dict(other))


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [((84, 84), "uint8", "frames"), ((64, 64, 3), "uint8", "frames"), ((84,), "uint8", "vector"),
     ((84, 84), "float32", "frames"), ((7, 7, 3), "uint8", "grid"), ((4,), "float32", "vector")],
)  # fmt: skip
def test_what_counts_as_frames(shape: tuple[int, ...], dtype: str, kind: str) -> None:
    (column,) = build.observations(tiny(), spec(*shape, dtype=dtype)).values()
    assert (column.shape, column.dtype, column.kind, column.hidden) == (shape, dtype, kind, 0)


def test_life_loss_and_exploration_reach_the_actor(tmp_path: Path) -> None:
    run = new_run(tiny(env__life_loss="roll", env__num_envs=3), tmp_path)
    made: Actor = run.actor
    assert made.life_loss == "roll"
    np.testing.assert_allclose(made.epsilon, [0.4, 0.4**4.5, 0.4**8])
    linear = tiny(actor__exploration="linear", actor__epsilon_end=0.1, actor__epsilon_steps=100)
    assert build.epsilon(linear, 2, 0).tolist() == [1.0, 1.0]
    np.testing.assert_allclose(build.epsilon(linear, 2, 50), [0.55, 0.55])
    np.testing.assert_allclose(build.epsilon(linear, 2, 1000), [0.1, 0.1])


def test_a_device_that_is_not_there_is_named_with_one_that_is() -> None:
    assert build.device(tiny(run__device="cpu")).type == "cpu"
    assert build.device(tiny(run__device="auto")).type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(ValueError, match=f"run.device '{name}' .*try --run.device cpu"):
            build.device(tiny(run__device=name))


def test_threads_zero_is_one_for_each_core() -> None:
    assert build.threads(tiny(run__threads=3)) == 3
    assert build.threads(tiny(run__threads=0)) >= 1


def made(**changes: Any) -> Replay | Mixture:
    """The replay of a tiny config for vectors and two environments."""
    return build_replay.replay(tiny(**changes), VECTOR)


@pytest.mark.parametrize("stratified", [False, True])
def test_every_selector_gets_its_numbers(stratified: bool) -> None:
    for name, kind in (("proportional", Proportional), ("rank", RankBased)):
        selector: Any = made(replay__selector=name, replay__alpha=0.3, replay__stratified=stratified).selector
        assert isinstance(selector, kind)
        assert (selector.alpha, selector.stratified) == (0.3, stratified)
    recency: Any = made(replay__selector="recency", replay__decay=0.2).selector
    assert isinstance(recency, Recency)
    assert recency.decay == 0.2
    combined: Any = made(replay__selector="rank", replay__newest=2, learner__batch=8).selector
    assert isinstance(combined, Combined)
    assert isinstance(combined.rest, RankBased)
    assert combined.least == 2 * 2 + 1


def test_every_remover_gets_its_numbers() -> None:
    assert isinstance(made().remover, Fifo)
    assert isinstance(made(replay__remover="lowest").remover, LowestPriority)
    states = []
    for seed in (1, 1, 2):
        remover = made(replay__remover="reservoir", run__seed=seed).remover
        assert isinstance(remover, Reservoir)
        states.append(remover.state_dict()["rng"])
    assert states[0] == states[1] != states[2]
    soft = made(replay__remover="soft", replay__steps=1000, replay__soft_surplus=0.5, replay__period=2)
    assert isinstance(soft.remover, SoftFifo)
    assert (soft.remover.soft, soft.remover.period) == (500, 100)
    assert soft.capacity > 750
    hard = made(replay__steps=1000, replay__period=2)
    assert soft.storage.slots * soft.storage.block >= hard.storage.slots * hard.storage.block + 499


def test_a_long_term_replay_makes_a_mixture() -> None:
    replay = made(replay__long_term=0.25, replay__remover="lowest", replay__normalize="buffer")
    assert isinstance(replay, Mixture)
    assert replay.shares == [0.75, 0.25]
    assert [type(part.remover) for part in replay.replays] == [LowestPriority, Reservoir]
    assert replay.normalize == "buffer"
    for changes, message in (
        (
            {"replay__newest": 2, "learner__batch": 4},
            r"replay.newest=2 of each of 2 .* 4 items.*learner.batch",
        ),
        ({"replay__newest": 1, "learner__batch": 4, "replay__long_term": 0.5}, "do not fit in the 2 items"),
        ({"replay__selector": "recency", "replay__normalize": "buffer"}, "Recency does not have"),
    ):
        with pytest.raises(ValueError, match=message):
            made(**changes)


def test_beta_rises_if_asked() -> None:
    assert build_replay.beta(tiny(replay__beta=0.4), 10**6) == 0.4
    rising = tiny(replay__beta=0.4, replay__beta_end=0.8, replay__beta_steps=1000)
    assert [build_replay.beta(rising, steps) for steps in (0, 500, 5000)] == pytest.approx([0.4, 0.6, 0.8])


def test_alpha_goes_in_a_hundred_stages() -> None:
    """So that all priorities are raised anew a hundred times in a run, not at every draw."""
    assert build_replay.alpha(tiny(replay__alpha=0.4), 10**6) == 0.4
    falling = tiny(replay__alpha=0.7, replay__alpha_end=0.2, replay__alpha_steps=1000)
    found = [build_replay.alpha(falling, steps) for steps in range(2001)]
    assert [found[steps] for steps in (0, 9, 10, 500, 999, 1000, 2000)] == pytest.approx(
        [0.7, 0.7, 0.695, 0.45, 0.205, 0.2, 0.2]
    )
    assert len(set(found)) == 101


@pytest.mark.parametrize("selector", ["proportional", "rank"])
def test_alpha_reaches_every_selector_of_a_replay(selector: str) -> None:
    """Inside of `Combined`, and in both parts of a mixture."""
    changes = {"replay__selector": selector, "replay__alpha": 0.7, "replay__alpha_steps": 1000}
    config = tiny(**changes, replay__newest=1, replay__long_term=0.5, learner__batch=8)
    replay = build_replay.replay(config, VECTOR)
    assert isinstance(replay, Mixture)
    recent, long_term = (part.selector for part in replay.replays)
    for steps, alpha in ((0, 0.7), (500, 0.35), (5000, 0.0)):
        build_replay.set_alpha(config, replay, steps)
        assert [recent.rest.alpha, long_term.alpha] == pytest.approx([alpha, alpha])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "changes",
    [
        {"replay__long_term": 0.5, "replay__beta_steps": 200},
        {"replay__selector": "rank", "replay__newest": 1, "replay__remover": "reservoir"},
        {"replay__selector": "recency", "replay__remover": "soft"},
        {"replay__long_term": 0.25, "replay__initial_state": "refreshed", "replay__remover": "lowest"},
    ],
)
def test_every_kind_of_replay_trains(changes: dict[str, Any], tmp_path: Path) -> None:
    two_updates(tiny(**changes), tmp_path)


def test_the_estimate_counts_the_surplus_and_both_replays_of_a_mixture() -> None:
    """Or a run that passes the check at its start would outgrow the memory later."""
    plain, soft, mixed = (
        sizes.replay_bytes(tiny(replay__steps=1000, **changes), VECTOR)["reward"]
        for changes in (
            {},
            {"replay__remover": "soft", "replay__soft_surplus": 0.5},
            {"replay__long_term": 0.5},
        )
    )
    assert (soft, mixed) == (1.5 * plain, 2 * plain)


def test_short_episodes_fill_the_replay_unless_its_items_are_given(tmp_path: Path) -> None:
    """Episodes of two steps make five items where long ones make one. `replay/fill` counts the steps held."""
    fills = {}
    for items in (0, 60, 400):
        options = {"max_episode_steps": 2}
        config = tiny(env__options=options, replay__items=items, replay__period=8, replay__steps=400)
        run = new_run(config, tmp_path / str(items))
        for _ in range(600):
            run.act(cut=False)
        assert run.replay.steps_written > 700
        fills[items] = replay_measures(run.replay, run.limiter, run.config.replay.steps)["replay/fill"]
    assert fills[60] < 0.6
    assert fills[0] == fills[400] == 1.0
