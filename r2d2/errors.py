"""User errors, and how to install an extra."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

DISTRIBUTION = "r2d2-replay"  # `r2d2` in the public index is an unrelated package


class UserError(Exception):
    """An error that the user can fix: the message says what and how, and is shown without a traceback.

    Errors of other classes are bugs, in this project or in the user's environment, and need a traceback.
    """


def how_to_install(extra: str) -> str:
    """The command that installs an extra, from the checkout with this code, else from the distribution.

    The distribution needs no index where it is installed: pip reads its extras there.
    """
    root = Path(__file__).resolve().parents[1]
    checkout = (root / "setup.py").is_file() and (root / "pyproject.toml").is_file()
    pip, here = shutil.which("pip"), Path(sys.executable).parent
    command = "pip" if pip is not None and Path(pip).parent == here else f"{sys.executable} -m pip"
    return f"{command} install {'-e ' if checkout else ''}'{root if checkout else DISTRIBUTION}[{extra}]'"
