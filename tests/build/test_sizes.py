"""Laws of the estimate: arithmetic, near what is then held, and a refusal before memory is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_cases import new_run, tiny

from r2d2.build import environments, sizes
from r2d2.build.sizes import check_fits, column_bytes, gigabytes
from r2d2.config import Config
from r2d2.config.presets import PRESETS
from r2d2.types import OBSERVATION, Column, ObservationSpec, step_columns

# By hand, a step beside its frame: actions 2 x int32, rewards and Q values 4 x float32, two flags.
SMALL = 26  # bytes a step of the columns that are not pixels


def estimate(config: Config) -> dict[str, int]:
    """As it is made before a run begins."""
    return sizes.replay_bytes(config, environments.spec(config))


def test_the_papers_replay_by_hand() -> None:
    """4e6 frames of 84 x 84 are 28.2 GB raw; 1e5 items with an LSTM state of 2 x 512 floats are 0.41 GB."""
    columns = step_columns({OBSERVATION: ObservationSpec((84, 84), "uint8", "frames")}, codec="raw", stack=4)
    found = column_bytes(columns, steps=4_000_000, items=100_000, core_size=1024)
    assert found["observation"] == 28_224_000_000
    assert found["core state"] == 409_600_000
    assert found["index"] == 6_400_000
    assert sum(found.values()) == 28_224_000_000 + 4_000_000 * SMALL + 409_600_000 + 6_400_000


@pytest.mark.parametrize(("codec", "least_ratio"), [("lz4", 14), ("zstd", 25)])
def test_compressed_frames_are_counted_at_a_ratio_that_every_game_reaches(
    codec: str, least_ratio: int
) -> None:
    columns = {"observation": Column((84, 84), "uint8", codec)}  # type: ignore[arg-type]
    size = column_bytes(columns, steps=4_000_000, items=0, core_size=0)["observation"]
    assert 28_224_000_000 / (least_ratio + 1) <= size <= 28_224_000_000 / least_ratio


def test_the_estimate_follows_the_preset() -> None:
    found = estimate(PRESETS["r2d2"])
    assert found["observation"] == pytest.approx(28_224_000_000 / 15, abs=1)
    assert found["core state"] == 409_600_000
    assert estimate(PRESETS["dqn"])["core state"] == 0
    replay = PRESETS["r2d2-small"].replay
    width = PRESETS["r2d2-small"].network.core_width
    small = estimate(PRESETS["r2d2-small"])
    assert small["core state"] == -(-replay.steps // replay.period) * 2 * width * 4


def test_the_estimate_is_near_what_a_full_replay_holds(tmp_path: Path) -> None:
    """Raw vectors: arrays of the estimated size, plus blocks that writers have open."""
    config = tiny(replay__steps=20_000, replay__block=40)
    held = new_run(config, tmp_path).replay.nbytes
    estimated = sum(estimate(config).values())
    assert 0.75 * held < estimated < 1.1 * held


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the memory is left to networks, environments and batches."""
    monkeypatch.setattr(sizes, "available_bytes", lambda: 1_000_000)
    check_fits({"observation": 800_000, "core state": 100_000})
    with pytest.raises(MemoryError) as error:
        check_fits({"observation": 800_000, "core state": 100_001})
    for part in ("900,001 bytes", "1,000,000 bytes", "800,000 bytes", "for observation", "--replay.steps"):
        assert part in str(error.value)


def test_the_networks_bytes_are_those_of_what_is_built(tmp_path: Path) -> None:
    """Parameters of the online and target networks, the actor's copy, gradients, and Adam's two moments."""
    run = new_run(tiny(), tmp_path)
    networks = (run.learner.network, run.learner.target, run.actor.network)
    held = sum(p.nbytes for network in networks for p in network.parameters())
    found = sizes.network_bytes(run.config, run.environments.spec)
    assert found["online"] + found["target"] + found["actor"] == held
    assert found["gradients"] == found["online"]
    assert found["Adam's moments"] == 2 * found["online"]


@pytest.mark.parametrize("field", ["network__hidden", "network__core_width", "network__features"])
def test_a_network_that_does_not_fit_is_refused_with_both_numbers(field: str) -> None:
    """Nothing is allocated: the widths here would take terabytes."""
    config = tiny(**{field: 99_999_999})
    spec = environments.spec(config)
    needed = sum(sizes.network_bytes(config, spec).values())
    with pytest.raises(
        MemoryError, match=f"the network needs {needed:,} bytes .* bytes .* are available: lower"
    ):
        sizes.check(config, spec)


def test_replay_and_network_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "available_bytes", lambda: 1_000_000)
    check_fits({"observation": 500_000}, {"online": 400_000})
    with pytest.raises(MemoryError, match="the replay needs 500,001 bytes .*, the network 400,000 bytes"):
        check_fits({"observation": 500_001}, {"online": 400_000})


def test_a_containers_limit_counts_where_it_is_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    free = sizes.psutil.virtual_memory().available
    files = {"memory.max": "3000000", "memory.current": "1000000"}
    monkeypatch.setattr(Path, "read_text", lambda path: files[path.name])
    assert sizes.available_bytes() == 2_000_000
    files["memory.max"] = "max\n"
    assert sizes.available_bytes() == pytest.approx(free, rel=0.2)


def test_bytes_are_written_for_readers() -> None:
    assert gigabytes(28_224_000_000) == "28,224,000,000 bytes (28.22 GB)"
