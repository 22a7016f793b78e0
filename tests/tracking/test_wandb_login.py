"""Laws of `r2d2.tracking.wandb_login`: wandb is online exactly where it would find a login itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from r2d2.tracking.wandb_login import choose_mode

pytest.importorskip("wandb")

NOBODY = {"HOME": "/nonexistent"}
HOST = "https://wandb.example.org:8443"
KEY = "0123456789" * 4


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wandb reads settings in the working directory too."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def settings(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings").write_text(f"[default]\n{text}\n")


def log_in(home: Path, *machines: str) -> dict[str, str]:
    (home / ".netrc").write_text(
        "".join(f"machine {name}\n  login user\n  password {KEY}\n" for name in machines)
    )
    return {"HOME": str(home)}


def test_an_environment_variable_is_a_login() -> None:
    assert choose_mode("auto", NOBODY)[0] == "offline"
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        assert choose_mode("auto", NOBODY | {name: "x"})[0] == "online"
        assert choose_mode("auto", NOBODY | {name: "x", "WANDB_MODE": "offline"})[0] == "offline"
        assert choose_mode("auto", NOBODY | {name: "x", "WANDB_MODE": "disabled"})[0] == "none"
        assert choose_mode("none", {name: "x"})[0] == "none"
        assert choose_mode("wandb-offline", {name: "x"})[0] == "offline"


@pytest.mark.parametrize("machine", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_the_public_server_is_the_default_under_both_of_its_names(machine: str, tmp_path: Path) -> None:
    logged_in = log_in(tmp_path, machine)
    assert choose_mode("auto", logged_in)[0] == "online"
    assert choose_mode("auto", logged_in | {"WANDB_BASE_URL": HOST})[0] == "offline"


def test_a_login_counts_for_its_own_server_and_port_only(tmp_path: Path) -> None:
    logged_in = log_in(tmp_path, "wandb.example.org:8443")
    assert choose_mode("auto", logged_in)[0] == "offline"
    assert choose_mode("auto", logged_in | {"WANDB_BASE_URL": "https://wandb.example.org"})[0] == "offline"
    mode, why = choose_mode("auto", logged_in | {"WANDB_BASE_URL": HOST + "/"})
    assert (mode, why) == ("online", "wandb: online, logged in at wandb.example.org:8443")
    elsewhere = NOBODY | {"WANDB_BASE_URL": HOST, "NETRC": str(tmp_path / ".netrc")}
    assert choose_mode("auto", elsewhere)[0] == "online"


def test_the_settings_file_names_the_server(tmp_path: Path) -> None:
    """What `wandb login --host` writes; an environment variable, and the working directory, come before it."""
    logged_in = log_in(tmp_path, "wandb.example.org:8443")
    settings(tmp_path / ".config" / "wandb", f"base_url = {HOST}")
    assert choose_mode("auto", logged_in)[0] == "online"
    assert choose_mode("wandb", logged_in)[0] == "online"
    assert choose_mode("auto", logged_in | {"WANDB_BASE_URL": "https://api.wandb.ai"})[0] == "offline"
    assert choose_mode("auto", logged_in | {"WANDB_CONFIG_DIR": str(tmp_path / "empty")})[0] == "offline"
    settings(Path("wandb"), "base_url = https://other.example.org")
    assert choose_mode("auto", logged_in)[0] == "offline"


def test_the_settings_file_may_hold_the_key_and_the_mode(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    settings(tmp_path / ".config" / "wandb", f"api_key = {KEY}")
    assert choose_mode("auto", home)[0] == "online"
    settings(Path("wandb"), "mode = offline")  # `wandb offline` writes it
    assert choose_mode("auto", home) == ("offline", "wandb: offline, as its settings file says")
    assert choose_mode("auto", home | {"WANDB_MODE": "online"})[0] == "online"
    assert choose_mode("wandb", home)[0] == "online"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"no section", b"[default]\nbase_url\n", b"[other]\nmode = offline\n"]
)
def test_a_garbled_file_is_as_none(content: bytes, tmp_path: Path) -> None:
    settings(tmp_path / ".config" / "wandb", "")
    for file in (tmp_path / ".config" / "wandb" / "settings", tmp_path / ".netrc"):
        file.write_bytes(content)
    assert choose_mode("auto", {"HOME": str(tmp_path)})[0] == "offline"


def test_wandb_by_name_without_a_login_is_an_error_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"at api.wandb.ai: run `wandb login`.*wandb-offline"):
        choose_mode("wandb", NOBODY)


def test_it_finds_what_the_real_command_has_written(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environ |= {"HOME": str(tmp_path)}
    command = [sys.executable, "-m", "wandb", "login", "--no-verify", "--host", HOST, KEY]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert choose_mode("auto", environ) == ("online", "wandb: online, logged in at wandb.example.org:8443")
