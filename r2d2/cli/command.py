"""Command: the description of a command, from which help and dispatch are made."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from r2d2.cli.arguments import UsageError, known


@dataclass(frozen=True)
class Command:
    """One command: its arguments as shown in the usage, what it does, and the function that runs it.

    The function takes the arguments after the command's name and returns the exit code.
    """

    arguments: str
    summary: str
    run: Callable[[list[str]], int]


@dataclass(frozen=True)
class Group:
    """Commands under one name, each the `COMMAND` of a module, which is imported on demand."""

    name: str
    modules: Mapping[str, str]
    notes: str = ""

    def load(self, name: str) -> Command:
        """The command of a name; UsageError, with suggestions, for an unknown one."""
        if name not in self.modules:
            raise UsageError(f"unknown command {name!r}: {known(name, self.modules)}")
        command: Command = importlib.import_module(self.modules[name]).COMMAND
        return command

    def usage(self) -> str:
        """All commands with their arguments and summaries."""
        lines = [f"usage: {self.name} COMMAND ...", ""]
        for name in self.modules:
            command = self.load(name)
            lines += [f"  {name} {command.arguments}", f"      {command.summary}"]
        lines += ["", f"`{self.name} COMMAND --help` lists every option."]
        return "\n".join([*lines, self.notes] if self.notes else lines)

    def run(self, args: list[str]) -> int:
        """Run the command that the first word names; returns the exit code."""
        if not args or args[0] in ("-h", "--help"):
            print(self.usage())
            return 0 if args else 2
        return self.load(args[0]).run(args[1:])
