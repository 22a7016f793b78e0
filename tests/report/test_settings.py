"""Laws of `r2d2.report.settings`: runs that differ in their seed alone are one setting; labels tell the rest."""

from __future__ import annotations

from pathlib import Path

from folder_cases import write_run

from r2d2.report.run import read_runs
from r2d2.report.settings import changes, differences, settings


def test_seeds_are_one_setting_and_a_change_makes_another(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"a{seed}", seed=seed, run__threads=seed, run__steps=1000 + seed)
        write_run(tmp_path / f"b{seed}", seed=seed, replay__burn_in=3)
    found = settings(read_runs([tmp_path]))
    assert [(s.label, len(s.runs)) for s in found] == [("memory, burn_in=10", 3), ("memory, burn_in=3", 3)]


def test_presets_are_labels_enough_where_they_differ(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "memory")
    write_run(tmp_path / "b", "memory+zero")
    assert [s.label for s in settings(read_runs([tmp_path]))] == ["memory", "memory+zero"]


def test_tasks_are_apart_also_by_their_options(tmp_path: Path) -> None:
    write_run(tmp_path / "a", env__options={"delay": 3})
    write_run(tmp_path / "b", env__options={"delay": 10})
    found = settings(read_runs([tmp_path]))
    assert [s.task for s in found] == ["Recall-v0 (delay=3)", "Recall-v0 (delay=10)"]
    assert {s.label for s in found} == {"memory"}


def test_changes_are_those_to_the_preset_without_what_decides_no_number(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "memory+gru", env__id="TMaze-v0", seed=5, run__track="none", learner__batch=3)
    (run,) = read_runs([tmp_path])
    assert changes(run) == {"learner.batch": 3}


def test_differences_name_the_fields_and_all_values(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", network__core="gru")
    configs = [run.config for run in read_runs([tmp_path])]
    assert differences(configs) == {"network.core": ["lru", "gru"]}
