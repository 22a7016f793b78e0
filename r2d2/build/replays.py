"""Config -> replay: storage, selector, remover, mixture, and first priorities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.agent import targets
from r2d2.build.agents import RELABELING, REMOVING, columns, core_size, generator, layout, linear, priority
from r2d2.config import Config
from r2d2.config.parts import REMOVERS, SELECTORS, make
from r2d2.envs.vector import EnvSpec
from r2d2.replay import Combined, Hindsight, Mixture, Remover, Replay, Selector, Sequencer
from r2d2.replay.draw import batch_shares

Ints = NDArray[np.int64]

# Mean length, steps, of the shortest whole episodes for which there are items enough to keep `steps`; ours.
SHORT_EPISODE = 10
_BATCH_STAGE = 1.2  # ours
_STAGES = 100  # of the schedule of alpha; ours: it lags by at most a hundredth of the schedule


def replay(config: Config, spec: EnvSpec, demonstrations: Ints | None = None) -> Replay | Mixture:
    """The replay for the steps of `env.num_envs` environments.

    With `demonstrations`, the steps of each episode [E] of a dataset, there is a frozen replay for them, to
    be filled.
    """
    r, streams = config.replay, config.env.num_envs
    shares = shares_of(config) if demonstrations is not None else [1.0 - r.long_term, r.long_term, 0.0]
    if r.newest:
        drawn = batch_shares(config.learner.batch, shares)[0]
        if drawn <= r.newest * streams:
            raise ValueError(
                f"replay.newest={r.newest} of each of {streams} environments and one drawn item do not fit in "
                f"the {drawn} items of a batch: raise learner.batch, or lower env.num_envs or replay.newest"
            )
    made = [_part(config, spec, 0)]
    if r.long_term:
        made.append(_part(config, spec, 1, name="long_term", remover="reservoir"))
    if demonstrations is not None:
        rows = _room(config, demonstrations)
        made.append(_part(config, spec, 2, name="demonstrations", remover="fifo", steps=rows, items=0))
    if len(made) == 1:
        return made[0]
    shares = [share for share in shares if share]
    return Mixture(made, shares, normalize=r.normalize, frozen=int(demonstrations is not None))


def shares_of(config: Config) -> list[float]:
    """The shares of the recent and the long-term replay and of the demonstrations in a batch; ValueError for
    a batch in which the demonstrations or the run's own items have none."""
    r, batch = config.replay, config.learner.batch
    share, own = r.demonstration_share, 1.0 - r.demonstration_share
    if batch_shares(batch, [own, share])[1] in (0, batch):
        raise ValueError(
            f"replay.demonstration_share={share:g} of learner.batch={batch} items leaves no whole item for the "
            "demonstrations or for the run's own: raise learner.batch, or choose another share"
        )
    return [own * (1.0 - r.long_term), own * r.long_term, share]


def _part(config: Config, spec: EnvSpec, number: int, *, name: str = "", **changes: Any) -> Replay:
    """One of the replays, 0 the recent one; the others have changes and, where there is one, a folder of
    their own."""
    r = config.replay
    if number:
        folder = r.folder and str(Path(r.folder) / name)
        config = replace(config, replay=replace(r, newest=0, folder=folder, **changes))
    sequencer = _sequencer(config)
    return _replay(config, spec, sequencer, relabeler(config, sequencer, spec, number))


def _room(config: Config, episodes: Ints) -> int:
    """Rows in which episodes of so many steps [E] fit. Compressed ones begin in blocks of their own, at most
    one block from its start."""
    r, cut = config.replay, layout(config)
    rows = episodes + 1
    if r.codec != "raw":
        rows = (-(-rows // r.block) + 1) * r.block
    return max(int(rows.sum()), cut.context + cut.burn_in + cut.unroll + cut.n_step)  # of one item at least


def _sequencer(config: Config) -> Sequencer:
    cut = layout(config)._asdict()
    return Sequencer(config.env.num_envs, **cut, core_size=core_size(config))


def relabeler(config: Config, sequencer: Sequencer, spec: EnvSpec, number: int = 0) -> Hindsight | None:
    """Hindsight for items of this sequencer; `number` is that of the replay in a mixture."""
    r = config.replay
    if r.hindsight == "none":
        return None
    goals, longest = spec.goals, spec.max_episode_steps
    if goals is None or longest is None:
        raise ValueError(
            f"replay.hindsight={r.hindsight} needs an environment with goals and a longest episode, which "
            f"{config.env.id} is not: try --env BitFlipping-v0, or --replay.hindsight none"
        )
    return Hindsight(
        sequencer,
        goal_size=goals.size,
        longest=longest,
        outcome=goals.outcome,
        rng=generator(config.run.seed, RELABELING + number),
        strategy=r.hindsight,
        copies=r.copies,
    )


def _replay(config: Config, spec: EnvSpec, sequencer: Sequencer, relabeler: Hindsight | None) -> Replay:
    r = config.replay
    stored = columns(config, spec, stack=config.network.stack)
    streams = sequencer.streams
    steps = kept_steps(config)
    # A quarter more items than long episodes make; it grows where they are short.
    period = min(r.period, SHORT_EPISODE) if r.initial_state == "episode" else r.period
    items = r.items or -(-steps * 5 // (4 * period))
    capacity = versions(config) * max(items, streams * sequencer.items_at_once)
    capacity = max(capacity, 0 if relabeler is None else relabeler.at_once)
    fixed = r.items > 0 or r.remover == "soft"  # which keeps a fixed number of items
    most = (
        capacity if fixed else max(capacity, versions(config) * steps)
    )  # each item has a first step of its own
    chosen = selector(config, capacity, streams)
    return Replay(
        stored,
        streams=streams,
        sequencer=sequencer,
        selector=chosen,
        remover=remover(config, capacity, chosen),
        capacity=capacity,
        steps=steps,
        max_capacity=most,
        block=r.block,
        core_size=sequencer.core_size,
        linked=r.initial_state == "refreshed",
        normalize=r.normalize,
        relabeler=relabeler,
        folder=Path(r.folder) if r.folder else None,
    )


def versions(config: Config) -> int:
    """Items per sequence of steps: the original and its hindsight copies."""
    return 1 if config.replay.hindsight == "none" else 1 + config.replay.copies


def kept_steps(config: Config) -> int:
    """The capacity of one replay, in steps."""
    r = config.replay
    return math.ceil(r.steps * (1.0 + r.soft_surplus)) if r.remover == "soft" else r.steps


def selector(config: Config, capacity: int, streams: int) -> Selector:
    """What chooses the items that are drawn."""
    r = config.replay
    settings = {
        "capacity": capacity,
        "alpha": r.alpha,
        "stratified": r.stratified,
        "changing_alpha": r.alpha_steps > 0,
        "decay": r.decay,
    }
    made: Selector = make(SELECTORS, r.selector, settings)
    return Combined(made, capacity=capacity, streams=streams, newest=r.newest) if r.newest else made


def remover(config: Config, capacity: int, selector: Selector) -> Remover:
    """What chooses the items that are removed when there is no room."""
    r = config.replay
    settings = {
        "capacity": capacity,
        "selector": selector,
        "rng": generator(config.run.seed, REMOVING),
        "soft": min(capacity, versions(config) * (r.items or -(-r.steps // r.period))),
    }
    made: Remover = make(REMOVERS, r.remover, settings)
    return made


def batch_counts_steps(config: Config) -> bool:
    """Whether the items of a batch depend on the mean length of those that are held."""
    c = config.learner  # a graph has one shape
    return c.batch_steps > 0 and config.replay.initial_state == "episode" and not c.graphs


def batch_items(config: Config, mean_length: Callable[[], float]) -> int:
    """Items of the next batch: `learner.batch`, or as many whole episodes of the mean length as have
    `learner.batch_steps` steps, if these are more.

    In stages of a fifth, so that most batches have the size of the one before; `config` is resolved. The mean, over
    all items, is asked for only where it matters.
    """
    c = config.learner
    if not batch_counts_steps(config):
        return c.batch
    length = mean_length()
    if length <= 0.0 or c.batch * length >= c.batch_steps:
        return c.batch
    stages = math.floor(math.log(c.batch_steps / (c.batch * length), _BATCH_STAGE))
    return int(c.batch * _BATCH_STAGE**stages)


def alpha(config: Config, steps: int) -> float:
    """The exponent of the priorities after `steps` environment steps, in stages: each change recomputes every
    item (a tenth of a second for a million), so it is not changed with every draw, as beta is."""
    r = config.replay
    if r.alpha_steps == 0:
        return r.alpha
    stage = steps * _STAGES // r.alpha_steps
    return linear(stage, start=r.alpha, end=r.alpha_end, steps=_STAGES)


def set_alpha(config: Config, replay: Replay | Mixture, steps: int) -> None:
    """Set the selector's alpha for `steps` environment steps."""
    if config.replay.alpha_steps == 0:
        return
    for part in replay.replays if isinstance(replay, Mixture) else [replay]:
        drawing = part.selector.rest if isinstance(part.selector, Combined) else part.selector
        assert hasattr(drawing, "set_alpha")  # `check_config` has refused the others
        drawing.set_alpha(alpha(config, steps))


def beta(config: Config, steps: int) -> float:
    """The exponent of the importance weights after `steps` environment steps."""
    r = config.replay
    if r.beta_steps == 0:
        return r.beta
    return linear(steps, start=r.beta, end=r.beta_end, steps=r.beta_steps)


def initial_priorities(
    config: Config, replay: Replay | Mixture, ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Priorities [K] of new items from the Q values recorded with their steps."""
    behavior = ["log_probability"] if config.learner.records_behavior else []
    items = replay.get(ids, [*targets.PRIORITY_COLUMNS, *behavior])
    return targets.initial_priorities(items, config.learner, layout(config), priority(config))


def set_initial_priorities(
    config: Config, replay: Replay | Mixture, ids: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give new items their first priorities; returns those that are not hindsight copies.

    With `first_priority` highest they keep what a selector gives every new item, the highest priority so far.
    Copies always do: an actor's Q values are for the goal that it pursued.
    """
    own = ids[~replay.relabeled(ids)]
    if config.replay.first_priority == "highest":
        return own
    held = own[replay.holds(own)]  # the copies of the same write may have replaced some
    if len(held):
        replay.update_priorities(held, initial_priorities(config, replay, held), initial=True)
    return own
