"""What messages to the user share."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

DISTRIBUTION = "r2d2-replay"  # the package `r2d2` of the public index is somebody else's


class UserError(Exception):
    """Something that the user can put right: its message says what and how, and is shown without a traceback.

    Errors of any other class are faults in code, in this project's or in the user's environment, which only a
    traceback explains.
    """


def how_to_install(extra: str) -> str:
    """The command that installs an extra: of the checkout that this code is in, else of the distribution.

    The distribution needs no index where it is installed: pip reads its extras there.
    """
    root = Path(__file__).resolve().parents[1]
    checkout = (root / "setup.py").is_file() and (root / "pyproject.toml").is_file()
    pip, here = shutil.which("pip"), Path(sys.executable).parent
    command = "pip" if pip is not None and Path(pip).parent == here else f"{sys.executable} -m pip"
    return f"{command} install {'-e ' if checkout else ''}'{root if checkout else DISTRIBUTION}[{extra}]'"
