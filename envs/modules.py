"""Imports the user's own modules that an environment id names, from the working folder too."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import zlib
from pathlib import Path
from types import ModuleType

from r2d2.envs.vector import EnvError


def import_named(name: str, folder: str, env_id: str) -> ModuleType:
    """Imports a module, or a file that ends in .py, for the environment `env_id`.

    `folder` is searched last, but before the working folder of this process; a file's path may be relative to
    either. Exceptions of the module itself are passed on.
    """
    folders = list(dict.fromkeys([os.getcwd(), os.path.abspath(folder or os.curdir)]))
    for each in folders:
        _put_on_path(each)
    folders.reverse()
    try:
        return _import_file(name, folders, env_id) if name.endswith(".py") else _import(name, folders, env_id)
    except EnvError:
        raise
    except BaseException as error:
        error.add_note(f"This happened while {name!r} was imported, for the environment {env_id!r}.")
        raise


def _put_on_path(folder: str) -> None:
    """Searches `folder` last, but before the working folder, which Python itself may have put first."""
    known = [os.path.abspath(entry or os.curdir) for entry in sys.path]
    if folder not in known:
        here = os.getcwd()
        sys.path.insert(known.index(here) if here in known else len(known), folder)


def _import(name: str, folders: list[str], env_id: str) -> ModuleType:
    importlib.invalidate_caches()  # the user may have just written it
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the module imports is missing
        raise EnvError(
            f"env_id {env_id!r}: there is no module {error.name!r} among the installed packages or in "
            f"{' or '.join(folders)}; start from the module's folder, or name it with --env.folder"
        ) from None


def _import_file(name: str, folders: list[str], env_id: str) -> ModuleType:
    places = [Path(folder, name).resolve() for folder in folders]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise EnvError(
            f"env_id {env_id!r}: there is no file {' or '.join(map(str, places))}; give its path, or name "
            "the folder to which it is relative with --env.folder"
        )
    _put_on_path(str(path.parent))  # for modules beside it
    found = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    if found is not None and found.origin == str(path):
        return importlib.import_module(path.stem)
    name = f"{path.stem}_{zlib.crc32(str(path).encode()):08x}"  # its plain name may be another module's
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
