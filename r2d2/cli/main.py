"""The `r2d2` command: runs one command and reports its errors."""

from __future__ import annotations

import os
import sys

import r2d2
from r2d2.cli.commands import COMMANDS
from r2d2.cli.errors import exit_code, is_message
from r2d2.cli.streams import dropping_unread_output


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code, one of `commands.EXIT_CODES`.

    Errors that say what the user can do are shown in one line, without a traceback; R2D2_TRACEBACK=1 shows it.
    """
    args = list(sys.argv[1:] if arguments is None else arguments)
    with dropping_unread_output():
        if args[:1] == ["--version"]:
            print(f"r2d2 {r2d2.__version__}")
            return 0
        name = " ".join(["r2d2", *(word for word in args[:1] if word in COMMANDS.modules)])
        try:
            return COMMANDS.run(args)
        except KeyboardInterrupt:
            print(f"{name}: interrupted, without saving", file=sys.stderr)
            return 130
        except Exception as error:
            if os.environ.get("R2D2_TRACEBACK") or not is_message(error):
                raise
            print(f"{name}: {error}", file=sys.stderr)
            return exit_code(error)
