"""Minari: datasets of the Farama Foundation's format, read as episodes of ours and written from them.

A dataset is named minari:ID, as minari:D4RL/door/human-v2, and lies in Minari's own folder
(MINARI_DATASETS_PATH, or ~/.minari/datasets); nothing is downloaded. Needs the extra `minari`.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from r2d2.config import Config, to_dict
from r2d2.dataset.dataset import PROTOCOL, DatasetError, Source
from r2d2.envs.actions import Actions, BoxActions, actions_of
from r2d2.envs.observations import Part, parts_of
from r2d2.envs.vector import EnvSpec
from r2d2.types import OBSERVATION, as_previous, no_previous

PREFIX = "minari:"
OURS = "r2d2"  # the entry of a dataset's metadata with what Minari does not keep: our `env`

Episode = dict[str, NDArray[Any]]


class MinariEpisodes:
    """The episodes of a Minari dataset as steps of this environment; see `r2d2.dataset.files.Source`.

    Observations are read as the environment's own vector reads them, by the names of their parts, and
    actions become those that an agent counts or scales from -1 to 1. Raises DatasetError if there is no such
    dataset or if its actions are others. What its observations are like stands in `head`, for `Spec.check_takes`.
    """

    def __init__(self, name: str, config: Config, spec: EnvSpec) -> None:
        self.path = Path(name)
        self._data = _load(name.removeprefix(PREFIX))
        self._actions, self._vectors = spec.actions or Actions(spec.num_actions), spec.action_size > 0
        _check_actions(name, self._data.action_space, self._actions)
        space = self._data.observation_space
        if spec.parts[0].keys and isinstance(space, gym.spaces.Dict):  # goals, which are one vector here
            self._parts = spec.parts
        else:
            self._parts = parts_of(space, name, config.env.channels)
        count = np.array([m["total_steps"] for m in self._metadata()], np.int64)
        if not len(count):
            raise DatasetError(f"{name} has no episodes: record some, or name another dataset")
        self.index: dict[str, NDArray[Any]] = {"steps": count}
        self.head: dict[str, Any] = {
            "env": self._env(config),
            "num_actions": spec.num_actions,
            "columns": {part.name: {"shape": list(part.shape), "dtype": part.dtype} for part in self._parts}
            | _columns(spec.action_size),
            "episodes": len(count),
            "steps": int(count.sum()),
            "source": {"minari": self._data.id},
        }

    def _metadata(self) -> Iterator[dict[str, Any]]:
        yield from self._data.storage.get_episode_metadata(self._data.episode_indices)

    def _env(self, config: Config) -> dict[str, Any]:
        """What is known of the environment; what is not, as the config has it."""
        written = self._data.storage.metadata.get(OURS)
        if written is not None:
            return dict(written)
        env, spec = {name: to_dict(config.env)[name] for name in ("id", *PROTOCOL)}, self._data.env_spec
        if spec is None:
            return env
        options = {name: spec.kwargs.get(name, value) for name, value in env["options"].items()}
        if "max_episode_steps" in options:
            options["max_episode_steps"] = spec.max_episode_steps
        return env | {"id": spec.id, "options": options}

    @cached_property
    def checksum(self) -> str:
        """sha256 of all files; reads them."""
        digest, folder = hashlib.sha256(), Path(self._data.storage.data_path)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(str(file.relative_to(folder)).encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    def read(self, *, first: int = 0) -> Iterator[Episode]:
        """See `Dataset.read`; one episode is held at a time."""
        for found in self._data.iterate_episodes(self._data.episode_indices[first:]):
            action: NDArray[Any] = self._actions.read(np.asarray(found.actions))
            action = action.astype(np.float32 if self._vectors else np.int32)
            ended = np.asarray(found.terminations, np.bool_)
            columns = {
                "action": _with_last(action),
                "reward": _with_last(np.asarray(found.rewards, np.float32)),
                "terminated": _with_last(ended),
                "truncated": _with_last(np.asarray(found.truncations, np.bool_) & ~ended),
            }
            size = action.shape[1] if self._vectors else 0
            previous = {
                "previous_action": np.concatenate([no_previous(1, size), as_previous(action)]),
                "previous_reward": np.concatenate([np.zeros(1, np.float32), columns["reward"][:-1]]),
            }
            seen = {part.name: part.read(found.observations) for part in self._parts}
            yield seen | columns | previous


def write_minari(source: Source, name: str, spec: EnvSpec) -> Any:
    """Write a dataset's episodes as the new Minari dataset `name`, minari:ID; returns the `minari.MinariDataset`.

    Observations are those that the replay kept, as Atari's gray frames, stored without loss; actions are the
    environment's own. Recorded Q values are left out. Raises DatasetError, and nothing is left behind, if
    there is one of that name or the disk fails.
    """
    minari, dataset_id = _module("minari"), name.removeprefix(PREFIX)
    folder = _module("minari.storage.datasets_root_dir").get_dataset_path(dataset_id)
    if folder.exists():
        raise DatasetError(f"{name} exists in {folder}: a dataset never replaces anything, name another one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about authors and links, which a run does not know
            made = minari.create_dataset_from_buffers(
                dataset_id,
                list(_buffers(source, spec)),
                env=_registered(source.head["env"]),
                observation_space=_observation_space(source, spec),
                action_space=_action_space(spec.actions or Actions(spec.num_actions)),
                algorithm_name="r2d2",
                description=f"written from {source.path.name}",
                data_format="hdf5",
                jpeg_encoding=False,
            )
        made.storage.update_metadata({OURS: source.head["env"]})
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, DatasetError) or not isinstance(error, OSError | ValueError):
            raise
        raise DatasetError(f"{name} could not be written: {error}. Nothing is left of it") from error
    return made


def _buffers(source: Source, spec: EnvSpec) -> Iterator[Any]:
    make = _module("minari.data_collector").EpisodeBuffer
    actions = spec.actions or Actions(spec.num_actions)
    for episode in source.read():
        seen = {part.name: episode[part.name] for part in spec.parts}
        yield make(
            observations=seen[OBSERVATION] if OBSERVATION in seen else _nested(seen),
            actions=actions.of(episode["action"][:-1]),
            rewards=episode["reward"][:-1],
            terminations=episode["terminated"][:-1],
            truncations=episode["truncated"][:-1],
            infos={},
        )


def _nested(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns `observation/NAME/...` as the nested dict that they were."""
    tree: dict[str, Any] = {}
    for name, column in columns.items():
        *above, last = name.split("/")[1:]
        place = tree
        for key in above:
            place = place.setdefault(key, {})
        place[last] = column
    return tree


def _observation_space(source: Source, spec: EnvSpec) -> gym.Space[Any]:
    spaces = {part.name: _box(part) for part in spec.parts}
    return spaces[OBSERVATION] if OBSERVATION in spaces else _dict_space(_nested(spaces))


def _dict_space(tree: dict[str, Any]) -> gym.spaces.Dict:
    return gym.spaces.Dict(
        {key: _dict_space(value) if isinstance(value, dict) else value for key, value in tree.items()}
    )


def _box(part: Part) -> gym.spaces.Box:
    dtype = np.dtype(part.dtype)
    if part.kind == "vector" and len(part.low) == part.shape[0]:
        return gym.spaces.Box(np.array(part.low, dtype), np.array(part.high, dtype), dtype=dtype.type)
    return gym.spaces.Box(part.low[0], part.high[0], part.shape, dtype.type)


def _action_space(actions: Actions | BoxActions) -> gym.Space[Any]:
    if isinstance(actions, BoxActions):
        low, high = (np.array(end, actions.dtype) for end in (actions.low, actions.high))
        shape: Any = actions.shape
        return gym.spaces.Box(low.reshape(shape), high.reshape(shape), dtype=low.dtype.type)
    if not actions.sizes:
        return gym.spaces.Discrete(actions.count, start=actions.start)
    return gym.spaces.MultiDiscrete(np.reshape(actions.sizes, actions.start.shape), start=actions.start)


def _registered(env: dict[str, Any]) -> Any:
    """The environment, for whoever reads the dataset elsewhere, if gymnasium knows it and its observations
    are these."""
    try:
        spec = gym.spec(env["id"])
    except gym.error.Error:
        return None
    if env["id"].startswith("ALE/"):
        return None
    kwargs = {name: value for name, value in env["options"].items() if name != "max_episode_steps"}
    return gym.envs.registration.EnvSpec(
        spec.id,
        entry_point=spec.entry_point,
        max_episode_steps=env["options"].get("max_episode_steps", spec.max_episode_steps),
        kwargs=spec.kwargs | kwargs,
    )


def _load(dataset_id: str) -> Any:
    try:
        return _module("minari").load_dataset(dataset_id)
    except FileNotFoundError:
        raise DatasetError(
            f"{PREFIX}{dataset_id} is not on this machine: `minari list local` shows what is, `minari download "
            f"{dataset_id}` gets one of those that are public"
        ) from None
    except (ValueError, KeyError, OSError) as error:
        raise DatasetError(f"{PREFIX}{dataset_id} cannot be read: {error}") from None


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"{PREFIX}ID needs a package that is not installed ({error.name}): pip install 'r2d2-replay[minari]'"
        ) from None


def _check_actions(name: str, space: gym.Space[Any], wanted: Actions | BoxActions) -> None:
    """Raise DatasetError unless these are the environment's actions."""
    got = actions_of(space, name)
    if _key(got) != _key(wanted):
        raise DatasetError(
            f"actions of {name} are {space}, the environment's are {_action_space(wanted)}: its steps mean "
            "something else; choose a dataset of this environment, or --env of the dataset"
        )


def _key(actions: Actions | BoxActions) -> tuple[Any, ...]:
    if isinstance(actions, BoxActions):
        return *(np.array(end, np.float32).tolist() for end in (actions.low, actions.high)), actions.shape
    return actions.count, actions.sizes, np.asarray(actions.start).tolist()


def _columns(action_size: int) -> dict[str, Any]:
    """What there is of a step beside observations."""
    action: dict[str, Any] = {"shape": [], "dtype": "int32"}
    previous = action
    if action_size:
        action, previous = ({"shape": [n], "dtype": "float32"} for n in (action_size, 1 + action_size))
    number, flag = {"shape": [], "dtype": "float32"}, {"shape": [], "dtype": "bool"}
    return {"previous_action": previous, "previous_reward": number, "action": action, "reward": number} | {
        "terminated": flag,
        "truncated": flag,
    }


def _with_last(values: NDArray[Any]) -> NDArray[Any]:
    """With the row of zeros that the final observation has."""
    return np.concatenate([values, np.zeros_like(values[:1])])
