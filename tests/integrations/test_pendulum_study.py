"""The verdict of the Pendulum study sees other parameters, and a task that is not solved."""

from __future__ import annotations

import pytest

pytest.importorskip("stable_baselines3")

from experiments.replay import pendulum
from experiments.replay.study import Row


def rows(
    *, steps: int = 8000, value: float = -150.0, sum_of_ours: int = 7, prioritized: float = -150.0
) -> list[Row]:
    """Three seeds of one algorithm on the three buffers."""
    found = []
    for seed in range(3):
        for buffer, mean, checksum in (
            (pendulum.SB3, value, 7),
            (pendulum.UNIFORM, value, sum_of_ours if seed == 2 else 7),
            (pendulum.PRIORITIZED, prioritized, 9),
        ):
            labels = {"seed": seed, "algorithm": "TD3", "buffer": buffer, "steps": steps}
            found.append({**labels, "measure": "evaluation", "value": mean})
            found.append({**labels, "measure": "checksum", "value": checksum})
    return found


def test_equal_parameters_and_a_solved_task_hold() -> None:
    assert pendulum.verdict(rows()).holds


@pytest.mark.parametrize(
    "changed",
    [{"sum_of_ours": 8}, {"value": -201.0}, {"prioritized": -201.0}, {"steps": 1000, "sum_of_ours": 8}],
)
def test_anything_else_does_not(changed: dict[str, float]) -> None:
    assert not pendulum.verdict(rows(**changed)).holds  # type: ignore[arg-type]


def test_a_short_run_need_not_solve_it() -> None:
    assert pendulum.verdict(rows(steps=1000, value=-1400.0)).holds
