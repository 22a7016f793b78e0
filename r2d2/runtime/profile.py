"""The time of one update and of one acting step, stage by stage, beside the roofline's lower bound."""

from __future__ import annotations

import copy
import dataclasses
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile as torch_profile
from torch.autograd.profiler import record_function

from r2d2.agent.actor import Environments, Result
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.config import Config
from r2d2.runtime.roofline import (
    Rates,
    measure_rates,
    optimizer_bytes,
    row_operations,
    update_operations,
    wait,
)
from r2d2.types import Batch

# Names of `agent.stages` in an update and in an acting step.
UPDATE = ("copy", "stack", "encode", "core", "heads", "targets", "backward", "optimizer", "priorities")
FORWARD = ("stack", "encode", "core", "heads")
MEASURED = "measured"  # the part of a profile that counts
WARM_UP = 2  # calls that are not counted: kernels are chosen, buffers made (ours)


@dataclass(frozen=True)
class Stage:
    """Seconds that a stage takes in one update or one acting step, and its floor (0: none is stated)."""

    name: str
    seconds: float
    floor: float = 0.0


class TimedEnvironments:
    """Environments that record how long their steps take; halves, if there are any, step together."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self.num_envs = environments.num_envs
        self.seconds = 0.0

    def reset(self, seed: int) -> Any:
        return self._environments.reset(seed)

    def step(self, action: Any) -> Result:
        start = time.perf_counter()
        result = self._environments.step(action)
        self.seconds += time.perf_counter() - start
        return result


class Workbench:
    """The parts of a run, with a replay just large enough for a few batches, to be timed one by one."""

    def __init__(self, config: Config) -> None:
        made = environments.vector(config, halves=config.actor.halves)
        spec = made.spec
        config = build.resolved(config, spec)
        r, env = config.replay, config.env
        enough = (
            2 * (r.burn_in + r.unroll + r.n_step + r.period) * env.num_envs
            + 2 * config.learner.batch * r.period
        )
        self.config = dataclasses.replace(config, replay=dataclasses.replace(r, steps=min(r.steps, enough)))
        self.environments = TimedEnvironments(made)
        self.device = build.device(config)
        torch.set_num_threads(build.threads(config))
        self.network = build.network(config, spec)
        self.replay = build_replay.replay(self.config, spec)
        self.learner = build.learner(config, self.network, device=self.device)
        self.rng = np.random.default_rng(config.run.seed)
        self.actor = build.actor(config, self.environments, copy.deepcopy(self.network), rng=self.rng)
        self.actor.reset(config.run.seed)
        while len(self.replay) < config.learner.batch:
            self.act()
        self.rates = measure_rates(self.device, self.learner.precision)
        self.row = row_operations(self.network)

    def act(self) -> float:
        """One acting step, written to the replay; returns the seconds that the write took."""
        rows = self.actor.step()
        start = time.perf_counter()
        for new in rows:
            ids = self.replay.write(new.values, new.last, streams=new.streams, core=new.core)
            if len(ids):
                priorities = build_replay.initial_priorities(self.config, self.replay, ids)
                self.replay.update_priorities(ids, priorities, initial=True)
        return time.perf_counter() - start

    def sample(self) -> Batch:
        """A batch as a run draws it."""
        return self.replay.sample(self.config.learner.batch, self.rng, beta=self.config.replay.beta)


def profile_learner(bench: Workbench, repeats: int) -> list[Stage]:
    """Stages of one update, from the draw of its batch to the new priorities in the replay."""
    c, r = bench.config.learner, bench.config.replay
    batch = bench.sample()
    seen = list(bench.network.inputs.observations)

    def update() -> dict[str, float]:
        nonlocal batch
        drawn, batch = _clock(bench.sample)
        decode, _ = _clock(lambda: bench.replay.get(batch.ids, seen))
        found = bench.learner.update(batch).priorities
        put, _ = _clock(lambda: bench.replay.update_priorities(batch.ids, found))
        return {"draw and gather": max(drawn - decode, 0.0), "decode": decode, "priorities to replay": put}

    stages = _labeled(update, UPDATE, bench, repeats)
    operations = update_operations(
        bench.row, items=c.batch, burn_in=r.burn_in, unroll=r.unroll, n_step=r.n_step
    )
    floors = {name: count / bench.rates.operations for name, count in operations.items()}
    observed = sum(batch.columns[name].nbytes for name in seen)
    moved = {
        "decode": observed,
        "draw and gather": sum(v.nbytes for n, v in batch.columns.items() if n not in seen),
        "copy": 0 if bench.device.type == "cpu" else 2 * observed,
        "stack": 2 * observed * bench.config.network.stack,
        "optimizer": optimizer_bytes(bench.network),
    }
    floors |= {name: count / bench.rates.bytes for name, count in moved.items()}
    return [Stage(name, value, floors.get(name, 0.0)) for name, value in stages.items()]


def profile_actor(bench: Workbench, repeats: int) -> list[Stage]:
    """Stages of one step of all environments; what Python does around the network is `rest`."""

    def step() -> dict[str, float]:
        before = bench.environments.seconds
        whole, write = _clock(bench.act)
        played = bench.environments.seconds - before
        return {"environments": played, "replay write": write, "rest": whole - write - played}

    stages = _labeled(step, FORWARD, bench, repeats)
    stages["rest"] = max(stages["rest"] - sum(stages[name] for name in FORWARD), 0.0)
    n, row = bench.environments.num_envs, bench.row
    floors = {
        name: n * count / bench.rates.operations
        for name, count in (("encode", row.encode + row.frozen), ("core", row.core), ("heads", row.heads))
    }
    return [Stage(name, value, floors.get(name, 0.0)) for name, value in stages.items()]


def profile_train(bench: Workbench, repeats: int) -> list[Stage]:
    """Stages of an update and of the acting steps per update at the replay ratio, in turn."""
    c, r = bench.config.learner, bench.config.replay
    steps = (
        c.batch * r.unroll / r.replay_ratio / bench.environments.num_envs
    )  # of the vector, for each update
    learning, acting = profile_learner(bench, repeats), profile_actor(bench, repeats)
    return [Stage(f"learner: {s.name}", s.seconds, s.floor) for s in learning] + [
        Stage(f"actor: {s.name}", steps * s.seconds, steps * s.floor) for s in acting
    ]


def _clock(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _labeled(
    call: Callable[[], dict[str, float]], labels: tuple[str, ...], bench: Workbench, repeats: int
) -> dict[str, float]:
    """Median seconds of the stages that `call` returns and of each label inside it, over `repeats` calls: the
    median ignores moments when the machine was busy with something else."""
    cuda = bench.device.type == "cuda"
    calls: list[dict[str, float]] = []
    for _ in range(WARM_UP):
        call()
    with torch_profile(use_device="cuda" if cuda else None) as events:
        call()  # includes the profiler's own start
        for _ in range(repeats):
            with record_function(MEASURED):
                calls.append(call())
                wait(bench.device)
    found = list(events.function_events)
    starts = sorted(event.time_range.start for event in found if event.name == MEASURED)
    for event in found:
        at = bisect_right(starts, event.time_range.start) - 1
        if event.name in labels and at >= 0:
            spent = event.device_time_total if cuda else event.cpu_time_total
            calls[at][event.name] = calls[at].get(event.name, 0.0) + spent / 1e6
    names = [*calls[0], *(name for name in labels if name not in calls[0])]
    return {name: float(np.median([one.get(name, 0.0) for one in calls])) for name in names}


PROFILES: dict[str, Callable[[Workbench, int], list[Stage]]] = {
    "learner": profile_learner,
    "actor": profile_actor,
    "train": profile_train,
}


def report(what: str, bench: Workbench, repeats: int) -> list[str]:
    """The stages as lines of a table, their sum, and the machine's measured rates."""
    stages = PROFILES[what](bench, repeats)
    total = sum(stage.seconds for stage in stages)
    width = max(len(stage.name) for stage in stages)
    lines = [f"{'stage':{width}}  {'ms':>9} {'share':>6}  {'floor ms':>9}"]
    for stage in stages:
        floor = f"{1e3 * stage.floor:9.2f}" if stage.floor else f"{'-':>9}"
        share = stage.seconds / total
        lines.append(f"{stage.name:{width}}  {1e3 * stage.seconds:9.2f} {share:6.1%}  {floor}")
    floor_sum = sum(stage.floor for stage in stages)
    lines.append(f"{'sum':{width}}  {1e3 * total:9.2f} {1:6.1%}  {1e3 * floor_sum:9.2f}")
    return [*lines, "", *summary(what, bench, total, floor_sum)]


def summary(what: str, bench: Workbench, total: float, floor: float) -> list[str]:
    """The speed, and the floor's share of the time."""
    c, r, n = bench.config.learner, bench.config.replay, bench.environments.num_envs
    speeds = {
        "learner": f"{1 / total:.2f} updates/s of {c.batch} x ({r.burn_in} + {r.unroll} + {r.n_step}) steps",
        "actor": f"{n / total:.0f} steps/s of {n} environments",
        "train": f"{1 / total:.2f} updates/s, {c.batch * r.unroll / r.replay_ratio / total:.0f} steps/s, in turns",
    }
    return [
        f"{speeds[what]}; the floor is {floor / total:.0%} of the time",
        rates_line(bench.rates, bench.device),
    ]


def rates_line(rates: Rates, device: torch.device) -> str:
    """The measured rates from which floors are computed."""
    return (
        f"{device}, {torch.get_num_threads()} threads: {rates.operations / 1e9:.0f} G operations/s (matrix "
        f"product), {rates.bytes / 1e9:.1f} GB/s (copy, read and written)"
    )
