"""Laws of `import r2d2`: what it offers, and that it costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from checkpoint_cases import SOURCE
from run_cases import tiny

import r2d2


def test_importing_it_imports_nothing() -> None:
    """Fast, and without torch, which a process that only replays need not have."""
    code = """if 1:
        import sys
        sys.modules["torch"] = sys.modules["wandb"] = sys.modules["tyro"] = None
        import r2d2
        assert r2d2.__version__
        heavy = {"torch", "numpy", "gymnasium", "numba"} & {name for name, found in sys.modules.items() if found}
        assert not heavy, heavy
        assert r2d2.preset("memory").env.id == "Recall-v0"
        assert set(r2d2.__all__) <= set(dir(r2d2))
        import r2d2.replay
        try:
            r2d2.Policy
        except ImportError as error:
            assert "torch" in str(error)
        else:
            raise AssertionError("torch was found")
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_train_load_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder that is named, and in one with a name of its own."""
    monkeypatch.chdir(tmp_path)
    config = tiny(run__steps=60)
    run_dir = r2d2.train(config, tmp_path / "run")
    assert run_dir == tmp_path / "run"
    other = r2d2.train(config)
    assert other.parent == Path("runs")
    assert other.name.startswith("CartPole-v1-custom-s0-")
    policy = r2d2.load(run_dir)
    assert isinstance(policy, r2d2.Policy)
    assert policy.config.run.steps == 60
    policy.reset(2)
    assert policy.act([[0.0, 0.1, 0.2, 0.3], [0.3, 0.2, 0.1, 0.0]]).shape == (2,)


def test_a_config_that_cannot_run_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    config = tiny()
    config = replace(config, replay=replace(config.replay, period=0))
    with pytest.raises(ValueError, match=r"replay\.period must be from 1"):
        r2d2.train(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'r2d2' has no attribute 'trian'"):
        r2d2.trian  # noqa: B018
