"""The settings of Weights & Biases: where it would send a run, whether a user is logged in there, and whether a
sweep started the run.

Read from the same places as `wandb` itself, without importing it: environment variables, its settings files (`wandb
login --host` and `wandb offline` write to them) and netrc.
"""

from __future__ import annotations

import configparser
import importlib.util
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Track = Literal["auto", "wandb", "wandb-offline", "none"]
Mode = Literal["online", "offline", "none"]

# The public server has two names: the first is the default of the newest releases, the second that of earlier ones.
# A login for either is valid for both.
PUBLIC = ("api.forge.coreweave.com", "api.wandb.ai")
MODES: dict[str, Mode] = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "none"}


def sweep_run(environ: Mapping[str, str] = os.environ) -> str | None:
    """The id that a sweep agent has assigned to the run of this process; None outside of sweeps."""
    return environ.get("WANDB_RUN_ID") if environ.get("WANDB_SWEEP_ID") else None


def choose_mode(track: Track, environ: Mapping[str, str] = os.environ) -> tuple[Mode, str]:
    """Chooses wandb's mode, and returns one sentence about it.

    Raises ValueError when wandb is asked for by name and cannot work.
    """
    if track == "none":
        return "none", "wandb: not used"
    if importlib.util.find_spec("wandb") is None:
        if track != "auto":
            raise ValueError(
                f"track={track!r} needs the package wandb: pip install wandb, or use track='none'"
            )
        return "none", "wandb: not installed, metrics go to metrics.jsonl only"
    if track == "wandb-offline":
        return "offline", "wandb: offline, as asked"
    settings = _settings(environ)
    host = _host(environ, settings)
    logged_in = _logged_in(host, environ, settings)
    if track == "wandb":
        if not logged_in:
            raise ValueError(
                f"track='wandb' needs a login at {host}: run `wandb login`, or use track='wandb-offline'"
            )
        return "online", f"wandb: online at {host}"
    source = "WANDB_MODE says" if environ.get("WANDB_MODE") else "its settings file says"
    match MODES.get(environ.get("WANDB_MODE") or settings.get("mode", "")):
        case "none":
            return "none", f"wandb: off, as {source}"
        case "offline":
            return "offline", f"wandb: offline, as {source}"
    if logged_in:
        return "online", f"wandb: online, logged in at {host}"
    return "offline", f"wandb: offline, as nobody is logged in at {host} (wandb login)"


def _host(environ: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """The server, with its port if it has one: the machine's name in netrc."""
    url = environ.get("WANDB_BASE_URL") or settings.get("base_url", "")
    return urlsplit(url).netloc or PUBLIC[-1]


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The content of wandb's settings files: the user's, overridden by the working directory's."""
    folder = environ.get("WANDB_CONFIG_DIR")
    users = Path(folder) if folder else _home(environ) / ".config" / "wandb"
    local = Path(".wandb") if Path(".wandb").exists() else Path("wandb")
    found: dict[str, str] = {}
    for file in (users / "settings", local / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file, encoding="utf-8")
            found |= dict(parser["default"]) if parser.has_section("default") else {}
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # as in wandb, which warns once it starts
    return found


def _logged_in(host: str, environ: Mapping[str, str], settings: Mapping[str, str]) -> bool:
    keys = (environ.get("WANDB_API_KEY"), environ.get("WANDB_IDENTITY_TOKEN_FILE"), settings.get("api_key"))
    if any(keys):
        return True
    named = environ.get("NETRC")
    hosts = PUBLIC if host in PUBLIC else (host,)
    for path in (
        [Path(named).expanduser()] if named else [_home(environ) / ".netrc", _home(environ) / "_netrc"]
    ):
        try:
            known = netrc.netrc(str(path)).hosts
        except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
            continue
        if any(name in known for name in hosts):
            return True
    return False


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())
