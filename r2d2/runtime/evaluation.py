"""Evaluation jobs: a run's network plays greedily, and the results are kept in the run folder."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.checkpoint import checkpoint
from r2d2.config import Config
from r2d2.config.resumed import check_same_parts
from r2d2.envs.vector import VectorEnv
from r2d2.runs import folder
from r2d2.runs.folder import EVALUATIONS, VIDEOS
from r2d2.runtime.greedy import film, film_set, make_greedy, play, summary
from r2d2.runtime.short_memory import memory_line, play_with_memory


class Trained(NamedTuple):
    """A run's network, environments to evaluate it in, and where the network comes from."""

    config: Config
    vector: VectorEnv
    network: AgentNetwork
    source: dict[str, Any]  # checkpoint, env_steps and updates


def load_trained(run_dir: Path, path: Path | None, episodes: int) -> Trained:
    """The network of a run's newest checkpoint, or of `path`, with `episodes` environments."""
    config, _ = folder.read_config(run_dir)
    path = folder.checkpoint_of(run_dir, path)
    saved = checkpoint.load_part(path, ["config", "learner/network", "actor/steps", "learner/updates"])
    check_same_parts(saved["config"], config)
    vector = environments.vector(config, episodes)
    network = build.network(config, vector.spec)
    network.load_state_dict(saved["learner/network"])
    network.to(build.device(config))
    source = {
        "checkpoint": path.name,
        "env_steps": saved["actor/steps"],
        "updates": saved["learner/updates"],
    }
    return Trained(config, vector, network, source)


def evaluate(
    run_dir: Path, path: Path | None, *, episodes: int, video: bool, seed: int
) -> tuple[dict[str, Any], Path]:
    """Greedy episodes of a run's network: the result, and its file in the run folder."""
    single = film_set(folder.read_config(run_dir)[0]) if video else None  # so that errors come before playing
    _, vector, network, source = load_trained(run_dir, path, episodes)
    name = source["checkpoint"]
    with closing(vector):
        played = play(make_greedy(vector, network), seed)
    result: dict[str, Any] = {
        **source,
        "seed": seed,
        "returns": [episode.total for episode in played],
        "lengths": [episode.length for episode in played],
        **summary(played),
    }
    if single is not None:
        file = run_dir / VIDEOS / f"{name}-seed{seed}.mp4"
        with closing(single):
            filmed = film(make_greedy(single, network), single, seed, file)
        result["video"] = {"file": str(file), "return": filmed.total}
    return result, _keep(run_dir, f"{name}-{episodes}x-seed{seed}.json", result)


def memory_test(run_dir: Path, path: Path | None, *, histories: list[int], episodes: int, seed: int) -> int:
    """Greedy episodes with memories of `histories` observations, then with the whole; printed and kept."""
    _, vector, network, source = load_trained(run_dir, path, episodes)
    tests = []
    with closing(vector):
        for history in (*histories, None):
            found = play_with_memory(vector, network, history, seed=seed)
            print(memory_line(found), flush=True)
            tests.append(found)
    name = f"{source['checkpoint']}-memory-{episodes}x-seed{seed}.json"
    _keep(run_dir, name, {**source, "seed": seed, "memory": tests})
    return 0


def _keep(run_dir: Path, name: str, result: dict[str, Any]) -> Path:
    file = run_dir / EVALUATIONS / name
    file.parent.mkdir(exist_ok=True)
    folder.write_json(file, result)
    return file
