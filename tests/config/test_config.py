"""Laws of the config: what is written comes back, what is wrong is named, presets are the papers' numbers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from run_cases import differences

from r2d2.config import Config, from_dict, to_dict
from r2d2.config.presets import PRESETS


def saved(preset: str = "r2d2") -> dict[str, Any]:
    """A config as it comes back from `config.json`."""
    values: dict[str, Any] = json.loads(json.dumps(to_dict(PRESETS[preset])))
    return values


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_comes_back_from_json_as_it_was(preset: str) -> None:
    assert from_dict(saved(preset)) == PRESETS[preset]


def test_values_of_every_kind_come_back_with_their_type() -> None:
    run = dataclasses.replace(Config().run, tags=("a", "b"), stop_return=None)
    env = dataclasses.replace(Config().env, options={"delay": 3, "noise": 0.5})
    config = dataclasses.replace(Config(), run=run, env=env)
    again = from_dict(json.loads(json.dumps(to_dict(config))))
    assert again == config
    assert isinstance(again.run.tags, tuple)
    assert isinstance(again.env.options["delay"], int)
    assert hash(again.run) == hash(config.run)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("replay", "unrol", 80, r"unknown config key replay\.unrol: did you mean replay\.unroll\?"),
        ("run", "zzz", 1, r"unknown config key run\.zzz: known are checkpoint_period"),
        ("replay", "codec", "zip", r"replay\.codec must be one of raw, lz4, zstd, got 'zip'"),
        ("learner", "batch", "64", r"learner\.batch must be .*int.*, got '64'"),
        ("learner", "batch", 64.5, r"learner\.batch must be .*int.*, got 64\.5"),
        ("learner", "batch", True, r"learner\.batch must be .*int.*, got True"),
        ("learner", "batch", None, r"learner\.batch must be .*int.*, got None"),
        ("learner", "double", 1, r"learner\.double must be .*bool.*, got 1"),
        ("learner", "discount", "0.9", r"learner\.discount must be .*float.*, got '0\.9'"),
        ("run", "stop_return", "never", r"run\.stop_return must be float \| None, got 'never'"),
        ("run", "tags", "abc", r"run\.tags must be .*, got 'abc'"),
        ("env", "options", [1], r"env\.options must be .*, got \[1\]"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_right(
    section: str, key: str, value: Any, message: str
) -> None:
    values = saved()
    values[section][key] = value
    with pytest.raises(ValueError, match=message):
        from_dict(values)


def test_an_unknown_section_is_an_error_too() -> None:
    with pytest.raises(ValueError, match=r"unknown config key learners: did you mean learner\?"):
        from_dict(saved() | {"learners": {}})


def test_a_whole_number_will_do_for_a_float() -> None:
    values = saved()
    values["learner"]["discount"], values["run"]["stop_return"] = 1, 18
    config = from_dict(values)
    assert (config.learner.discount, config.run.stop_return) == (1, 18)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().run.seed = 3  # type: ignore[misc]


def test_r2d2_is_the_papers_table() -> None:
    """Kapturowski et al. 2019, table 2 and section 2.3, entry by entry; what the paper does not give is not
    here, but in the docstrings."""
    config = PRESETS["r2d2"]
    paper = {
        "replay.unroll": 80, "replay.burn_in": 40, "replay.period": 40, "replay.n_step": 5,
        "replay.steps": 4_000_000, "replay.eta": 0.9, "replay.alpha": 0.9, "replay.beta": 0.6,
        "replay.selector": "proportional", "replay.initial_state": "stored", "replay.replay_ratio": 0.8,
        "learner.discount": 0.997, "learner.learning_rate": 1e-4, "learner.adam_epsilon": 1e-3,
        "learner.batch": 64, "learner.target_period": 2500, "learner.double": True,
        "learner.rescaling": True, "learner.reward_clip": 0.0, "learner.precision": "float32",
        "actor.exploration": "ladder", "actor.epsilon_base": 0.4, "actor.epsilon_power": 7.0,
        "actor.actor_update_period": 400,
        "network.stack": 4, "network.torso": "nature", "network.core": "lstm", "network.core_width": 512,
        "network.hidden": 512, "network.previous_inputs": True, "network.head": "dueling",
        "network.forget_bias": 0.0,
        "env.frame_size": 84, "env.protocol": "paper", "env.life_loss": "none",
    }  # fmt: skip
    values = to_dict(config)
    assert {name: values[name.split(".")[0]][name.split(".")[1]] for name in paper} == paper
    assert config.replay.steps // config.replay.period == 100_000  # "1e5 part-overlapping sequences"


def test_the_feed_forward_presets_differ_in_what_their_papers_differ_in() -> None:
    """DQN -> double DQN -> PER -> its rank-based variant, each by its own numbers; Ape-X has the ladder, 3 steps,
    dueling and large batches."""
    dqn, double, per, rank, apex = (
        PRESETS[name] for name in ("dqn", "double-dqn", "per", "per-rank", "apex")
    )
    for config in (dqn, per, apex):
        assert config.network.core == "none"
        assert not config.network.previous_inputs
        assert (config.replay.burn_in, config.replay.unroll, config.replay.period) == (0, 1, 1)
        assert not config.learner.rescaling
        assert config.learner.reward_clip == 1.0
        assert config.learner.discount == 0.99
        assert config.env.life_loss == "reset"
    assert changed(dqn, double) == {"learner.double", "learner.target_period", "actor.epsilon_end"}
    assert changed(double, per) == {
        "replay.selector", "replay.alpha", "replay.beta", "replay.beta_steps", "replay.first_priority",
        "learner.learning_rate",
    }  # fmt: skip
    assert changed(per, rank) == {"replay.selector", "replay.alpha", "replay.beta"}
    assert (per.replay.beta_end, per.replay.beta_steps) == (1.0, per.run.steps)
    assert (apex.replay.remover, apex.replay.first_priority) == ("soft", "actor")


def changed(one: Config, other: Config) -> set[str]:
    return {path[1:].replace("/", ".") for path in differences(to_dict(one), to_dict(other))}


def test_every_field_is_documented_for_help() -> None:
    """The command line shows a field's docstring; one without is a flag without an explanation."""
    import inspect

    for section in dataclasses.fields(Config):
        source = inspect.getsource(section.default_factory).splitlines()  # type: ignore[arg-type]
        for field in dataclasses.fields(section.default_factory):  # type: ignore[arg-type]
            at = next(i for i, line in enumerate(source) if line.startswith(f"    {field.name}: "))
            assert source[at + 1].startswith('    """'), f"{section.name}.{field.name} has no docstring"
