"""Weights & Biases: the only module that imports `wandb`, and only once something is logged.

An exception of wandb never stops training: the first one turns wandb off with one warning. Everything it would
have shown is in `metrics.jsonl` anyway.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from r2d2.tracking.metrics import Record, read_metrics
from r2d2.tracking.names import CLOCKS, METRICS
from r2d2.tracking.wandb_login import sweep_run

# Set to the run folder: by default wandb writes these to the home folder.
FOLDERS = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_ARTIFACT_DIR")
SUMMARIES = {  # summary of a metric or a group in the table of runs; for all others the last value
    "evaluate/mean_return": "last,max",
    "train/mean_return": "last,max",
    "time": "mean",
    "memory": "max",
}
TABLE = "evaluate/table"
TABLE_COLUMNS = (
    "env_steps",
    "updates",
    "wall_seconds",
    "evaluate/mean_return",
    "evaluate/median_return",
    "evaluate/min_return",
    "evaluate/max_return",
    "evaluate/mean_length",
)
FINISH_SECONDS = 120  # ours: the longest wait for the upload at the end of a run


class WandbRun:
    """Sends records to one wandb run, whose id survives a resume.

    The horizontal axis of all charts is `env_steps`, not wandb's own counter, which restarts with each offline
    part of a run. All offline parts of one run have the same id. At the end it logs a table of all evaluations
    and those of the `policies` (alias -> folder) that exist, as versions of one artifact.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        mode: Literal["online", "offline"],
        say: Callable[[str], None],
        project: str = "r2d2",
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        policies: Mapping[str, Path] | None = None,
    ) -> None:
        self._policies = dict(policies or {})
        self.id = sweep_run() or secrets.token_hex(4)
        self._dir, self._mode, self._say = Path(run_dir), mode, say
        self._about: dict[str, Any] = {"project": project, "name": name, "group": group, "job_type": job_type}
        self._about |= {"tags": list(tags), "config": dict(config or {})}
        self._run: Any = None
        self._off = False
        self._environ: list[str] = []  # the variables that were set here, to be unset again

    def state_dict(self) -> dict[str, Any]:
        return {"id": self.id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues the run of a checkpoint; call before anything is logged."""
        self.id = state["id"]

    def log(self, record: Record) -> None:
        self._guard(lambda: self._started().log(record.line()))

    def log_video(self, name: str, path: Path, record: Record) -> None:
        def send() -> None:
            import wandb

            video = wandb.Video(str(path), format=path.suffix.removeprefix("."))  # type: ignore[arg-type]
            self._started().log({name: video, "env_steps": record.env_steps})

        self._guard(send)

    def log_histogram(self, name: str, counts: NDArray[Any], edges: NDArray[Any], record: Record) -> None:
        def send() -> None:
            import wandb

            histogram = wandb.Histogram(np_histogram=(counts.tolist(), edges.tolist()))
            self._started().log({name: histogram, "env_steps": record.env_steps})

        self._guard(send)

    def close(self, exit_code: int) -> None:
        if self._run is not None and not self._off:
            self._guard(self._log_table)
            self._guard(self._log_policies)
            self._guard(lambda: self._run.finish(exit_code=exit_code))
            if self._mode == "offline" and not self._off:
                parts = f"{self._dir}/wandb/offline-run-*-{self.id}"
                self._say(f"wandb: upload with `wandb sync --id {self.id} {parts}`")
        self._run, self._off = None, True
        self._restore_environ()

    def _log_table(self) -> None:
        """All evaluations of the run, those before a resume too."""
        import wandb

        found = [record for record in read_metrics(self._dir) if TABLE_COLUMNS[3] in record]
        if found:
            rows = [[record.get(name) for name in TABLE_COLUMNS] for record in found]
            self._run.log(
                {
                    TABLE: wandb.Table(columns=list(TABLE_COLUMNS), data=rows),
                    "env_steps": found[-1]["env_steps"],
                }
            )

    def _log_policies(self) -> None:
        import wandb

        for alias, folder in self._policies.items():
            if folder.is_dir():
                artifact = wandb.Artifact(
                    f"policy-{self.id}", "policy", metadata={"run_folder": self._dir.name}
                )
                artifact.add_dir(str(folder))
                self._run.log_artifact(artifact, aliases=[alias])

    def _started(self) -> Any:
        if self._run is None:
            for variable in FOLDERS:
                if variable not in os.environ:
                    os.environ[variable] = str(self._dir.resolve() / "wandb")
                    self._environ.append(variable)
            self._dir.mkdir(parents=True, exist_ok=True)
            import wandb

            settings = wandb.Settings(console="off", silent=True, finish_timeout=FINISH_SECONDS)
            resume: Any = "allow" if self._mode == "online" else None  # offline there is no server to ask
            self._run = wandb.init(
                id=self.id,
                dir=str(self._dir),
                mode=self._mode,
                resume=resume,
                settings=settings,
                **self._about,
            )
            for clock in CLOCKS:
                self._run.define_metric(clock, hidden=True)  # no chart of its own
            self._run.define_metric("*", step_metric="env_steps")
            for name, metric in METRICS.items():
                if metric.unit not in ("file", "histogram"):
                    summary = SUMMARIES.get(name) or SUMMARIES.get(name.partition("/")[0], "last")
                    self._run.define_metric(name, step_metric="env_steps", summary=summary)
        return self._run

    def _guard(self, call: Callable[[], None]) -> None:
        if self._off:
            return
        try:
            call()
        except Exception as error:  # whatever wandb raises, training continues
            self._off = True
            self._say(f"warning: wandb failed and is off from here on ({type(error).__name__}: {error})")
            self._tear_down()

    def _tear_down(self) -> None:
        """Shuts wandb down, which would otherwise complain when the process ends."""
        with contextlib.suppress(Exception):  # the failure was reported; shutting down may fail as well
            import wandb

            wandb.teardown(exit_code=1)
        self._restore_environ()

    def _restore_environ(self) -> None:
        for variable in self._environ:
            os.environ.pop(variable, None)
        self._environ.clear()
