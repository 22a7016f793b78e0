"""Laws of datasets: what is exported is what was played, and it reads back whatever way it is cut next."""

from __future__ import annotations

import dataclasses
import errno
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import flip
from helpers import ACTIONS, Ending, Setup, play
from numpy.typing import NDArray

from r2d2.agent.acting_state import CoreStates
from r2d2.agent.actor import Actor
from r2d2.dataset import dataset
from r2d2.dataset import files as dataset_files
from r2d2.dataset.dataset import Dataset, DatasetError, Spec, export, fill, open_dataset, read, write_dataset
from r2d2.replay import Fifo, Proportional, Replay
from r2d2.replay.episodes import read_episode, stored_episodes
from r2d2.types import Batch
from tests.agent.test_alignment import check_rows

ENV = {"id": "Scripted-v0", "protocol": "paper", "life_loss": "none", "options": {}}
FRAMES: dict[str, Any] = {"shape": (24, 27), "dtype": "uint8", "stack": 4}
MANY = 20_000  # steps: nothing is given up

SETUPS = {
    "nothing given up": Setup(steps=MANY),
    "given up and wrapped around": Setup(),
    "one step items": Setup(burn_in=0, unroll=1, n_step=1, period=1, stack=1),
    "compressed frames": Setup(**FRAMES, codec="lz4", burn_in=7, block=4, steps=100),
    "life loss cuts the bootstrap": Setup(life_loss="roll", burn_in=3),
    "life loss ends the episode": Setup(life_loss="reset", block=1),
    "one long episode": Setup(episodes=(Ending(400),), block=7),
}


def roomy(setup: Setup) -> Replay:
    """The setup's replay with room for every item."""
    small = setup.replay()
    return Replay(
        small.columns, streams=small.streams, sequencer=small.sequencer, selector=Proportional(MANY),
        remover=Fifo(MANY), capacity=MANY, steps=setup.steps, block=setup.block,
        core_size=small.items.core.shape[1],
    )  # fmt: skip


def played(setup: Setup, *, steps: int = 203, cut_every: int = 29) -> tuple[Actor, Replay]:
    """A replay after a barrier, as a checkpoint holds it, and who filled it."""
    actor = setup.actor(setup.network())
    replay = roomy(setup) if setup.steps == MANY else setup.replay()
    for _ in play(actor, replay, steps, cut_every=cut_every):
        pass
    return actor, replay


def exported(replay: Replay, path: Path, **part: Any) -> Dataset:
    return export(replay, path, Spec.of(ENV, ACTIONS, replay.columns), source={}, **part)


def filled(setup: Setup, source: Dataset, **arguments: Any) -> Replay:
    replay = roomy(setup)
    fill(replay, source, **arguments)
    return replay


def everything(replay: Replay) -> Batch:
    """All items, through the replay's public reading."""
    return replay.get(replay.items.ids(replay.items.places))


def trained(batch: Batch, setup: Setup) -> set[tuple[bytes, ...]]:
    """All columns of every row that some item trains."""
    rows = set()
    for b in range(len(batch.ids)):
        for t in range(setup.burn_in, setup.burn_in + int(batch.length[b])):
            frame = batch.columns["observation"][b, t + setup.stack - 1]
            others = [batch.columns[name][b, t] for name in sorted(batch.columns) if name != "observation"]
            rows.add((frame.tobytes(), *(value.tobytes() for value in others)))
    return rows


def actions_of(episodes: Iterator[dict[str, NDArray]]) -> set[tuple[bytes, ...]]:
    """All columns of every row that has an action."""
    rows = set()
    for episode in episodes:
        for t in range(len(episode["action"]) - 1):
            others = [episode[name][t] for name in sorted(episode) if name != "observation"]
            rows.add((episode["observation"][t].tobytes(), *(value.tobytes() for value in others)))
    return rows


def contents(source: Dataset) -> Counter[tuple[bytes, ...]]:
    """Episodes byte for byte, in no order."""
    return Counter(tuple(episode[name].tobytes() for name in sorted(episode)) for episode in source.read())


# -- what is exported --------------------------------------------------------------------------------------


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS.keys())
def test_an_exported_episode_is_the_end_of_what_was_played(setup: Setup, tmp_path: Path) -> None:
    """Against the environments' own record: observations, actions and rewards, whole or without a beginning;
    each stored action appears once, and `starts` and `ends` say what is missing."""
    actor, replay = played(setup)
    source = exported(replay, tmp_path / "out")
    truth = {}
    for slot in actor.environments.played:  # type: ignore[attr-defined]
        for episode in slot:
            for t, observation in enumerate(episode.observations):
                truth[observation.tobytes()] = (episode, t)
    seen: set[tuple[int, int]] = set()
    for number, found in enumerate(source.read()):
        episode, at = truth[found["observation"][0].tobytes()]
        steps = len(found["action"]) - 1
        wanted = np.stack(episode.observations[at : at + steps + 1])
        np.testing.assert_array_equal(found["observation"], wanted)
        assert found["action"][:-1].tolist() == episode.actions[at : at + steps]
        np.testing.assert_array_equal(found["reward"][:-1], np.float32(episode.rewards[at : at + steps]))
        begins = at == 0 or (setup.life_loss == "reset" and episode.lives[at - 1])
        assert source.index["starts"][number] == begins
        assert source.index["ends"][number]
        assert source.index["episode_return"][number] == pytest.approx(sum(found["reward"][:-1]), abs=1e-4)
        here = {(id(episode), t) for t in range(at, at + steps)}
        assert not here & seen, "a step was exported twice"
        seen |= here
    assert trained(everything(replay), setup) <= actions_of(source.read()), "a trained step is missing"
    if setup.steps == MANY:
        assert len(seen) == replay.steps_written
    else:
        assert len(seen) < replay.steps_written, "something must have been given up"


def test_episodes_come_by_age_and_the_newest_steps_are_exact(tmp_path: Path) -> None:
    actor, replay = played(Setup(steps=MANY, environments=1))
    everything_ = exported(replay, tmp_path / "all")
    total = everything_.head["steps"]
    whole = np.concatenate([episode["observation"][:-1] for episode in everything_.read()])
    truth = [episode.observations[:-1] for episode in actor.environments.played[0]]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(whole, [frame for frames in truth for frame in frames])
    for steps in (1, 2, 17, 100, total - 1, total, total + 5):
        part = exported(replay, tmp_path / f"part-{steps}", steps=steps)
        found = np.concatenate([episode["observation"][:-1] for episode in part.read()])
        np.testing.assert_array_equal(found, whole[-min(steps, total) :])
        assert part.head["steps"] == min(steps, total)
    with pytest.raises(ValueError, match=r"steps must be at least 1, got 0"):
        exported(replay, tmp_path / "none", steps=0)


def test_demonstrations_are_whole_and_good_and_the_newest(tmp_path: Path) -> None:
    _, replay = played(SETUPS["one step items"])
    source = exported(replay, tmp_path / "all")
    good = source.whole & (source.index["episode_return"] >= 2)
    assert 0 < good.sum() < len(good)
    assert not source.whole.all(), "a part of an episode must be there to be left out"
    chosen = exported(replay, tmp_path / "good", min_return=2)
    assert chosen.index["steps"].tolist() == source.index["steps"][good].tolist()
    assert chosen.whole.all()
    two = int(chosen.index["steps"][-2:].sum())
    fewer = exported(replay, tmp_path / "fewer", min_return=2, steps=two)
    assert fewer.index["steps"].tolist() == chosen.index["steps"][-2:].tolist()
    with pytest.raises(ValueError, match=r"return of at least 1000 .*lower --min-return"):
        exported(replay, tmp_path / "none", min_return=1000)
    with pytest.raises(ValueError, match=r"no finished item.*train longer"):
        exported(Setup().replay(), tmp_path / "none")
    assert not (tmp_path / "none").exists()


# -- the round trip ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_every_action_reads_back_equal_however_it_is_cut_next(seed: int, tmp_path: Path) -> None:
    """Exported from one replay, filled into another with its own streams, burn-in, unroll, period, stack,
    block and codec: the trained rows of all its items are the exported actions, and exporting again gives the
    same episodes, those that lost their beginning included."""
    rng = np.random.default_rng(seed)
    codecs = ["raw", "lz4", "zstd"]

    def cut(steps: int) -> Setup:
        unroll = int(rng.integers(1, 9))
        return Setup(
            burn_in=int(rng.integers(0, 9)), unroll=unroll, n_step=int(rng.integers(1, 5)),
            period=int(rng.integers(1, unroll + 1)), stack=int(rng.integers(1, 4)),
            block=int(rng.integers(1, 9)), codec=str(rng.choice(codecs)),  # type: ignore[arg-type]
            environments=int(rng.integers(1, 6)), steps=steps, shape=(24, 27), dtype="uint8", core="none",
        )  # fmt: skip

    _, replay = played(cut(120))
    source = exported(replay, tmp_path / "first")
    other = cut(MANY)
    again = filled(other, source)
    assert trained(everything(again), other) == actions_of(source.read())
    assert contents(exported(again, tmp_path / "second")) == contents(source)


@pytest.mark.parametrize("core", ["lstm", "gru"])
@pytest.mark.parametrize("frames", [False, True], ids=["vectors", "frames"])
def test_recomputed_states_are_where_they_should_be(core: Any, frames: bool, tmp_path: Path) -> None:
    """With the network that played, Q from every item's recomputed state is the Q that the actor recorded, in
    a replay that cuts and blocks otherwise; zero states are not, so the check can fail."""
    setup = Setup(steps=MANY, core=core, **(FRAMES if frames else {}))
    _, replay = played(setup, steps=40)
    source = exported(replay, tmp_path / "out")
    other = dataclasses.replace(setup, burn_in=2, unroll=5, period=3, block=3, environments=5)
    states = CoreStates(setup.network(), 5)
    batch = everything(filled(other, source, core=states))
    assert np.abs(batch.core).max() > 0.1
    check_rows(setup.network(), batch, other)
    with pytest.raises(AssertionError):
        check_rows(setup.network(), everything(filled(other, source)), other)


def test_columns_that_only_our_actor_has_may_be_missing(tmp_path: Path) -> None:
    """Demonstrations of others: `write_dataset` is public, zeros stand for the missing Q values."""
    setup = Setup(steps=MANY, core="none")
    _, replay = played(setup, steps=30)
    spec = Spec.of(ENV, ACTIONS, {n: c for n, c in replay.columns.items() if not n.startswith("q_")})
    stored = stored_episodes(replay)
    written = (read_episode(replay, stored, i, spec.columns) for i in range(len(stored)))
    source = write_dataset(tmp_path / "out", written, spec.head)
    Spec.of(ENV, ACTIONS, replay.columns).check_takes(source)
    batch = everything(filled(setup, source))
    assert not batch.columns["q_taken"].any()
    assert batch.columns["observation"].any()
    incomplete = {name: column for name, column in spec.columns.items() if name != "reward"}
    source.head["columns"] = incomplete
    with pytest.raises(ValueError, match=r"column reward must be float32 .* has none"):
        spec.check_takes(source)


def test_few_episodes_at_a_time_where_they_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes side by side never exceed the bytes allowed, and all of them arrive."""
    setup = Setup(steps=MANY, core="none")
    _, replay = played(setup, steps=60)
    source = exported(replay, tmp_path / "out")
    row_bytes = sum(column.row_bytes for column in replay.columns.values())
    longest = (int(source.index["steps"].max()) + 1) * row_bytes
    for allowed, at_once in ((1, 1), (2 * longest, 2), (100 * longest, 3)):
        monkeypatch.setattr(dataset, "AT_ONCE", allowed)
        widths: list[int] = []

        def count(values: Any, first: Any, streams: NDArray, widths: list[int] = widths) -> NDArray:
            widths.append(len(streams))
            return np.zeros((len(streams), 0), np.float32)

        again = filled(setup, source, core=count)
        assert max(widths) == at_once
        assert trained(everything(again), setup) == actions_of(source.read())


# -- foreign specs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda h: h["env"].update(id="Pong"), ["env.id", "'Scripted-v0'", "'Pong'", "--env.id Pong"]),
        (lambda h: h["env"].update(protocol="machado"), ["env.protocol", "machado", "--other-protocol"]),
        (lambda h: h["env"].update(life_loss="roll"), ["env.life_loss", "--env.life-loss roll"]),
        (lambda h: h["env"].update(options={"delay": 3}), ["env.options", "--env.options delay=3"]),
        (lambda h: h.update(num_actions=18), ["num_actions", "3", "18"]),
        (lambda h: h["columns"]["observation"].update(shape=[4]), ["shape", "observation", "[3]", "[4]"]),
        (
            lambda h: h["columns"]["observation"].update(shape=[84, 84], dtype="uint8"),
            ["shape", "--env.frame-size 84"],
        ),
        (lambda h: h["columns"]["reward"].update(dtype="float64"), ["dtype", "reward", "float32", "float64"]),
        (lambda h: h["columns"].pop("action"), ["column action", "has none"]),
    ],
)
def test_a_foreign_spec_is_refused_by_name(
    change: Callable[[dict], None], parts: list[str], tmp_path: Path
) -> None:
    _, replay = played(Setup(), steps=40)
    source = exported(replay, tmp_path / "out")
    spec = Spec.of(ENV, ACTIONS, replay.columns)
    spec.check_takes(source)
    change(source.head)
    with pytest.raises(ValueError, match="must be") as refusal:
        spec.check_takes(source)
    assert all(part in str(refusal.value) for part in parts), refusal.value
    if "--other-protocol" in str(refusal.value):
        spec.check_takes(source, other_protocol=True)


# -- files -------------------------------------------------------------------------------------------------


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A dataset of several chunks."""
    monkeypatch.setattr(dataset_files, "CHUNK", 2000)
    source = exported(played(Setup())[1], tmp_path / "several")
    assert len(source.head["files"]) > 3
    return source


def test_a_flipped_bit_names_its_file(several: Dataset) -> None:
    """In every file; what lies before it is still read, and nothing of the damaged chunk is."""
    several.verify()
    for file in sorted(several.path.iterdir()):
        content = file.read_bytes()
        flip(file, len(content) // 2)
        with pytest.raises(DatasetError, match=rf"{file.name}.*(damaged|another version)"):
            open_dataset(several.path).verify()
        file.write_bytes(content[:-2])
        with pytest.raises(DatasetError, match=rf"{file.name}"):
            open_dataset(several.path).verify()
        file.unlink()
        with pytest.raises(DatasetError, match=rf"{file.name}"):
            open_dataset(several.path).verify()
        file.write_bytes(content)
    several.verify()
    flip(several.path / "chunk-00001.npz")
    episodes = read(several.path)
    for _ in range(np.count_nonzero(several.index["chunk"] == 0)):
        next(episodes)
    with pytest.raises(DatasetError, match=r"chunk-00001.npz is damaged.*copy the dataset again"):
        next(episodes)


def test_another_version_is_left_alone(several: Dataset) -> None:
    head = several.path / "dataset.json"
    before = head.read_text()
    head.write_text(before.replace('"num_actions": 3', '"num_actions": 4'))
    with pytest.raises(DatasetError, match=r"dataset.json is damaged: its checksum"):
        open_dataset(several.path)
    head.write_text(before)
    head.write_text(json.dumps(json.loads(head.read_text()) | {"version": 2}))
    with pytest.raises(DatasetError, match=r"r2d2-dataset version 2, this code reads r2d2-dataset version 1"):
        open_dataset(several.path)
    with pytest.raises(DatasetError, match=r"holds no dataset.*dataset.json"):
        open_dataset(several.path / "nowhere")


def test_reading_may_begin_in_the_middle(several: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """...without opening the chunks before."""
    whole = list(several.read())
    opened: list[str] = []
    load = dataset_files._load
    monkeypatch.setattr(dataset_files, "_load", lambda p, name, h: opened.append(name) or load(p, name, h))
    first = int(np.argmax(several.index["chunk"] == 2)) + 1
    for before, after in zip(whole[first:], several.read(first=first), strict=True):
        np.testing.assert_array_equal(before["observation"], after["observation"])
    assert opened[0] == "chunk-00002.npz"


@pytest.mark.parametrize("survives", range(5))
def test_a_full_disk_leaves_nothing_behind(
    survives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file is the first that does not fit."""
    monkeypatch.setattr(dataset_files, "CHUNK", 2000)
    write, count = dataset_files.write_file, [0]

    def full(path: Path, chunks: Any) -> Any:
        count[0] += 1
        if count[0] > survives:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, chunks)

    monkeypatch.setattr(dataset_files, "write_file", full)
    _, replay = played(Setup())
    with pytest.raises(DatasetError, match=r"No space left.*Nothing is left.*make room"):
        exported(replay, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(several: Dataset, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in several.path.iterdir()}
    _, replay = played(Setup(), steps=40)
    with pytest.raises(ValueError, match=r"exists: a dataset never replaces anything"):
        exported(replay, several.path)
    assert {file.name: file.read_bytes() for file in several.path.iterdir()} == before


def test_memory_is_bounded_by_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB go out and come in; at no time is an eighth of that held."""
    monkeypatch.setattr(dataset_files, "CHUNK", 1 << 20)
    rows, count = 64, 128
    small = {"action": "int32", "reward": "float32", "previous_action": "int32"}
    forms = {"observation": ([8192], "uint8"), **{name: ([], dtype) for name, dtype in small.items()}}
    forms |= {"terminated": ([], "bool"), "truncated": ([], "bool")}
    head = {"columns": {name: {"shape": shape, "dtype": dtype} for name, (shape, dtype) in forms.items()}}

    def episodes() -> Iterator[dict[str, NDArray]]:
        for k in range(count):
            yield {name: np.full((rows, *shape), k % 2, dtype) for name, (shape, dtype) in forms.items()}

    tracemalloc.start()
    source = write_dataset(tmp_path / "out", episodes(), head)
    writing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert sum(len(episode["action"]) for episode in source.read()) == rows * count
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(writing, reading) < rows * count * 8192 // 8
