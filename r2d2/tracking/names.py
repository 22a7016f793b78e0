"""The metrics that runs log: each name with its unit and its meaning. `docs/metrics.md` shows this table.

A name is `group/metric`. A run logs what applies to it: one without recurrence has no Delta-Q, and only the cluster
runtime logs `cluster/`. Other code may log names of its own through a `Tracker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """The description of a metric."""

    unit: str
    meaning: str


GROUPS: dict[str, str] = {
    "train": "Episodes played while training, with exploration.",
    "evaluate": "Greedy episodes, one in each environment. With the steps of the record.",
    "learner": "What updates found: means over the updates since the last record.",
    "replay": "What the replay holds, and what is drawn from it.",
    "time": "Speed since the last record.",
    "memory": "Bytes.",
    "cluster": "The processes of the cluster runtime. Counts of losses are of the whole run.",
}

CLOCKS: dict[str, Metric] = {  # in every record, so no metric may have these names
    "env_steps": Metric("steps", "Environment steps so far: agent decisions, over all environments."),
    "updates": Metric("updates", "Optimizer steps so far."),
    "wall_seconds": Metric("s", "Training time so far, over all resumes."),
    "unix_time": Metric("s", "Time of day, in seconds since 1970."),
}

METRICS: dict[str, Metric] = {
    "train/mean_return": Metric("reward", "Mean undiscounted return of the last 50 episodes."),
    "train/mean_length": Metric("steps", "Mean length of the last 50 episodes."),
    "train/episodes": Metric("episodes", "Episodes that ended since the last record."),
    "evaluate/mean_return": Metric("reward", "Mean undiscounted return of the evaluation's episodes."),
    "evaluate/median_return": Metric("reward", "Their median return."),
    "evaluate/min_return": Metric("reward", "Their lowest return."),
    "evaluate/max_return": Metric("reward", "Their highest return."),
    "evaluate/mean_length": Metric("steps", "Their mean length."),
    "evaluate/env_steps": Metric(
        "steps",
        "Cluster: environment steps behind the evaluated weights; the record's own are those of its end.",
    ),
    "evaluate/video": Metric("file", "A video of one episode, relative to the run folder."),
    "learner/loss": Metric(
        "1",
        "Loss: summed over the trained steps, averaged over the items of a batch, with importance weights.",
    ),
    "learner/gradient_norm": Metric("1", "L2 norm of the gradient before it is clipped."),
    "learner/td_error": Metric(
        "value", "Mean absolute n-step TD error of the trained steps, after rescaling."
    ),
    "learner/q_mean": Metric("value", "Mean Q value of the actions taken, after rescaling."),
    "learner/value_scale": Metric("1", "What TD errors are divided by, with `learner.value_rms`."),
    "learner/td_scale": Metric(
        "value", "MEME: sigma, the standard deviation of TD errors that they are measured in."
    ),
    "learner/trusted": Metric("share", "MEME: trained steps that are not left out by the trust region."),
    "learner/entropy": Metric(
        "nats", "SAC: mean entropy of the policy, from one action at each observation."
    ),
    "learner/temperature": Metric("1", "SAC: weight of the entropy."),
    "learner/resets": Metric("resets", "Resets of the networks so far, with `learner.reset_period`."),
    "replay/fill": Metric("share", "Steps written over the capacity in steps, at most 1."),
    "replay/items": Metric("items", "Items that can be drawn."),
    "replay/ratio": Metric(
        "1", "Replay ratio so far: trained steps per environment step; padding and burn-in do not count."
    ),
    "replay/late_updates": Metric(
        "items", "Priorities that came after their item had been removed, and were ignored, so far."
    ),
    "replay/age": Metric("updates", "Mean age of drawn items: updates since an item was inserted."),
    "replay/parameter_lag": Metric(
        "updates",
        "Mean parameter lag of drawn items: updates since the weights that acted on their last step.",
    ),
    "replay/delta_q_first": Metric(
        "1",
        "Mean Delta-Q at the first trained step: the distance between the Q values from the recurrent state used "
        "in training and from the actor's, over the largest Q value.",
    ),
    "replay/delta_q_first_median": Metric("1", "Median Delta-Q at the first trained step."),
    "replay/delta_q_last": Metric("1", "Mean Delta-Q at the last trained step."),
    "replay/delta_q_last_median": Metric("1", "Median Delta-Q at the last trained step."),
    "replay/demonstration_share": Metric(
        "share", "Demonstrations: their share of the items drawn, with `replay.demonstrations`."
    ),
    "replay/demonstration_priority": Metric(
        "value", "Demonstrations: mean of the new priorities that updates gave to drawn ones."
    ),
    "replay/own_priority": Metric("value", "The same of the run's own items, beside demonstrations."),
    "replay/priorities": Metric("histogram", "Priorities of all items, with every evaluation."),
    "time/env_steps_per_second": Metric("steps/s", "Environment steps per second."),
    "time/updates_per_second": Metric("updates/s", "Updates per second."),
    "memory/replay_bytes": Metric("bytes", "The replay: steps, recurrent states, items and index."),
    "memory/bytes_per_step": Metric("bytes/step", "What one step takes in the replay, all of it together."),
    "memory/process_bytes": Metric("bytes", "Resident memory of the process that writes the record."),
    "cluster/updating_share": Metric("share", "The learner's time in updates."),
    "cluster/starved_share": Metric("share", "The learner's time waiting for batches: more shards help."),
    "cluster/limited_share": Metric("share", "The learner's time waiting for steps: more actors help."),
    "cluster/actor_waiting_share": Metric("share", "The actors' time waiting for the learner."),
    "cluster/updates_behind": Metric("updates", "Mean age of the weights that act now."),
    "cluster/packet_bytes_per_step": Metric("bytes/step", "Bytes that actors send per environment step."),
    "cluster/packets_refused": Metric(
        "packets", "Packets that a shard refused since one before was missing."
    ),
    "cluster/packets_repeated": Metric(
        "packets", "Packets that came twice and were ignored the second time."
    ),
    "cluster/lost_actors": Metric("processes", "Actors that were lost and started again."),
    "cluster/lost_shards": Metric("processes", "Shards that were lost and started again."),
    "cluster/lost_learners": Metric("processes", "Learners that were lost and started again."),
    "cluster/lost_evaluators": Metric("processes", "Evaluators that were lost and started again."),
    "cluster/lost_steps": Metric("steps", "Environment steps that were lost with them."),
    "cluster/lost_updates": Metric("updates", "Updates that were lost with them."),
}

RENAMED: dict[str, str] = {  # names until version 0.1
    "mean_return": "train/mean_return",
    "mean_length": "train/mean_length",
    "episodes": "train/episodes",
    "evaluation/mean_return": "evaluate/mean_return",
    "evaluation/median_return": "evaluate/median_return",
    "evaluation/min_return": "evaluate/min_return",
    "evaluation/max_return": "evaluate/max_return",
    "evaluation/mean_length": "evaluate/mean_length",
    "evaluation/env_steps": "evaluate/env_steps",
    "evaluation/video": "evaluate/video",
    "loss": "learner/loss",
    "gradient_norm": "learner/gradient_norm",
    "td_error": "learner/td_error",
    "q_mean": "learner/q_mean",
    "replay_fill": "replay/fill",
    "replay_items": "replay/items",
    "replay_bytes": "memory/replay_bytes",
    "replay_ratio": "replay/ratio",
    "late_updates": "replay/late_updates",
    "age/mean": "replay/age",
    "lag/mean": "replay/parameter_lag",
    "delta_q/first": "replay/delta_q_first",
    "delta_q/first_median": "replay/delta_q_first_median",
    "delta_q/last": "replay/delta_q_last",
    "delta_q/last_median": "replay/delta_q_last_median",
    "priorities": "replay/priorities",
    "learner/updating_share": "cluster/updating_share",
    "learner/starved_share": "cluster/starved_share",
    "learner/limited_share": "cluster/limited_share",
    "actor/waiting_share": "cluster/actor_waiting_share",
    "actor/updates_behind": "cluster/updates_behind",
    "packets/bytes_per_step": "cluster/packet_bytes_per_step",
    "packets/refused": "cluster/packets_refused",
    "packets/repeated": "cluster/packets_repeated",
    "lost/actors": "cluster/lost_actors",
    "lost/shards": "cluster/lost_shards",
    "lost/learners": "cluster/lost_learners",
    "lost/evaluators": "cluster/lost_evaluators",
    "lost/steps": "cluster/lost_steps",
    "lost/updates": "cluster/lost_updates",
}


def modernize(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record under today's names.

    >>> modernize({"env_steps": 10, "loss": 0.5, "mine": 1})
    {'env_steps': 10, 'learner/loss': 0.5, 'mine': 1}
    """
    return {RENAMED.get(name, name): value for name, value in record.items()}


def table() -> str:
    """All metrics as Markdown, group by group: the body of `docs/metrics.md`."""
    parts = ["## Clocks\n\nIn every record.\n\n" + _rows(CLOCKS)]
    for group, meaning in GROUPS.items():
        rows = {name: metric for name, metric in METRICS.items() if name.partition("/")[0] == group}
        parts.append(f"## `{group}/`\n\n{meaning}\n\n{_rows(rows)}")
    return "\n\n".join(parts) + "\n"


def _rows(metrics: Mapping[str, Metric]) -> str:
    head = ["| name | unit | meaning |", "|---|---|---|"]
    return "\n".join(
        head + [f"| `{name}` | {unit} | {meaning} |" for name, (unit, meaning) in metrics.items()]
    )
