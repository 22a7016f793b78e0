"""How commands parse their arguments: presets, short and renamed options, the options of an environment, and errors
with suggestions."""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from r2d2.config import Config
from r2d2.config.bounds import bounds_of
from r2d2.config.changes import CHANGES
from r2d2.config.config import RENAMED, REPLACED
from r2d2.config.presets import PRESETS, preset
from r2d2.errors import UserError

T = TypeVar("T")

# Positional arguments of several commands, under their names in usage lines.
RunDir = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
DatasetDir = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
Out = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
Preset = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")]

SHORT = {
    "--env": "--env.id",
    "--seed": "--run.seed",
    "--steps": "--run.steps",
    "--device": "--run.device",
    "--track": "--run.track",
    "--runtime": "--run.runtime",
}

# Python's names for these, besides JSON's own.
_PYTHON = {"None": None, "True": True, "False": False}

registry = ConstructorRegistry()
"""Within `with registry:`, tyro reads a field of type dict as the options of an environment."""


class UsageError(UserError, ValueError):
    """Wrong use of the command line."""


def parse(cls: type[T], args: list[str], *, prog: str, default: T | None = None) -> T:
    """The arguments as an instance of a dataclass, whose fields are the options; exits with code 2 and a hint for
    unknown ones."""
    with registry:
        read: T = tyro.cli(cls, args=args, prog=prog, default=default)  # type: ignore[assignment]
    return read


def parse_with_preset(
    cls: type[T], args: list[str], *, prog: str, start: Callable[[Config], T]
) -> tuple[T, str, str]:
    """The arguments as an instance of a dataclass with the fields `config`, whose defaults are the preset's, and
    `preset`, a positional; then the preset's name and, if it was chosen here, the reason.

    `start` makes the instance with the defaults of a config. A first parse finds the preset: a word that belongs to
    an option, such as the second of `--run.tags fast dqn`, is not one.
    """
    args = expand(args)
    name = parse(cls, args, prog=prog, default=start(Config())).preset  # type: ignore[attr-defined]
    name, why = (name, "") if name else pick_preset()
    return parse(cls, args, prog=prog, default=start(named_preset(name))), name, why


def expand(args: list[str]) -> list[str]:
    """Expand short options (`--env ID` is `--env.id ID`) and, with a hint, those that have been renamed."""
    long = []
    for arg in args:
        words = modern_words(arg)
        if words != [arg]:
            print(
                f"{arg} is now called {' '.join(words)}; the old name will be removed in the next release",
                file=sys.stderr,
            )
        name, equals, value = words[0].partition("=")
        long += [SHORT.get(name, name) + equals + value, *words[1:]]
    return long


def modern_words(word: str) -> list[str]:
    """A word of a command line, or the words that replace it today.

    >>> modern_words("--replay.ratio=2")
    ['--replay.replay-ratio=2']
    >>> modern_words("--network.no-dueling")
    ['--network.head', 'plain']
    """
    flag, equals, value = word.partition("=")
    path = flag.removeprefix("--").replace("-", "_") if flag.startswith("--") else ""
    for old, (new, values) in REPLACED.items():  # these were switches, as --network.no-dueling
        if path in (old, old.replace(".", ".no_")):
            return [_flag(new), str(values[path == old])]
    return [_flag(RENAMED[path]) + equals + value] if path in RENAMED else [word]


def _flag(path: str) -> str:
    return "--" + path.replace("_", "-")


def check_bounds(parsed: Any) -> None:
    """UsageError for the first option of a command that is outside its bounds."""
    for name, bounds in bounds_of(type(parsed)).items():
        found = getattr(parsed, name)
        for value in found if isinstance(found, tuple) else (found,):
            if value is not None and not bounds.holds(value):
                raise UsageError(f"--{name.replace('_', '-')} must be {bounds}, got {value}")


def asks_for_help(args: list[str]) -> bool:
    """Whether the list of options is requested."""
    return "-h" in args or "--help" in args


def named_preset(name: str) -> Config:
    """The preset of a name, as `r2d2-small+gru`; UsageError with suggestions."""
    base, *changes = name.split("+")
    if base not in PRESETS:
        raise UsageError(f"unknown preset {base!r}: {known(base, PRESETS)}")
    for change in changes:
        if change not in CHANGES:
            raise UsageError(f"unknown change {change!r} of a preset: {known(change, CHANGES)}")
    return preset(name)


def pick_preset() -> tuple[str, str]:
    """The preset for this machine, and why."""
    import torch  # takes seconds: not for --help

    if torch.cuda.is_available():
        return "r2d2", f"there is a CUDA device ({torch.cuda.get_device_name(0)})"
    return "r2d2-small", f"there is no CUDA device, only {os.cpu_count()} CPU cores"


def known(name: str, names: Iterable[str]) -> str:
    """A suggestion for the unknown `name`, and all valid names.

    >>> known("trian", ["train", "resume"])
    'did you mean train? use one of train, resume'
    """
    names = list(names)
    near = difflib.get_close_matches(name, names, 1)
    return f"{f'did you mean {near[0]}? ' if near else ''}use one of {', '.join(names)}"


def options_help(cls: type[T], default: T, prog: str) -> str:
    """A command's options with the defaults of `default`, without a usage line."""
    text = io.TextIOWrapper(
        io.BytesIO(), encoding=sys.stdout.encoding
    )  # which determines how boxes are drawn
    with registry, contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tyro.cli(cls, args=["--help"], prog=prog, default=default)
    text.seek(0)
    return text.read().split("\n\n", 2)[2]


# -- the options of an environment: `--env.options NAME=VALUE ...` -----------------------------------------


@registry.primitive_rule
def _options(field: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[dict[str, Any]] | None:
    if dict not in (field.type, field.type_origin):
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE ...",
        instance_from_str=parse_options,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda options: [f"{name}={json.dumps(value)}" for name, value in options.items()],
    )


def parse_options(words: list[str]) -> dict[str, Any]:
    """The options given as NAME=VALUE or NAME VALUE, each value as JSON, or as a string if it is not JSON.

    >>> parse_options(["map_name=8x8", "is_slippery=false", "delay", "20", "sizes=[3, 4]"])
    {'map_name': '8x8', 'is_slippery': False, 'delay': 20, 'sizes': [3, 4]}
    """
    options: dict[str, Any] = {}
    left = iter(words)
    for word in left:
        name, equals, text = word.partition("=")
        if not name.isidentifier():
            raise ValueError(f"{word!r} is not NAME=VALUE, and {name!r} is not the name of an argument")
        value = text if equals else next(left, None)
        if value is None:
            raise ValueError(f"{name} has no value: write {name}=VALUE")
        if name in options:
            raise ValueError(f"{name} is given twice")
        options[name] = _json_or_word(value)
    return options


def _json_or_word(text: str) -> Any:
    if text in _PYTHON:
        return _PYTHON[text]
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
