"""The jobs of a benchmark run, and how each is run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.bench.subjects import OURS

ROOT = Path(__file__).resolve().parents[2]
COMPRESSED = ("lz4", "zstd")
CODECS = ("raw", *COMPRESSED)


@dataclass(frozen=True)
class Part:
    """A function of the worker, with the variants for ours and the one for rivals, if any."""

    name: str
    ours: tuple[str, ...]
    rivals: str | None


# R draws 60 million times and is only run on request.
PARTS: dict[str, tuple[Part, ...]] = {
    "A": (Part("sequences", CODECS, ""), Part("footprint", CODECS, None)),
    "B": (Part("transitions", ("",), ""), Part("tree", ("",), "")),
    "C": (Part("uniform", ("",), ""),),
    "M": (Part("scales", ("",), ""),),
    "I": (Part("first_use", ("",), ""),),
    "D": (Part("growth", ("small", *CODECS), "small"),),
    "E": (Part("threads", CODECS, ""),),
    "S": (Part("persistence", COMPRESSED, None),),
    "K": (Part("codecs", ("",), None),),
    "R": (Part("rare", ("",), ""),),
}
SLOW = ("R",)


@dataclass(frozen=True)
class Job:
    """One part of one subject."""

    part: str
    subject: str
    variant: str
    tier: str
    cache: str


def plan(letters: list[str], rivals: list[str], policies: list[str], tier: str, cache: Path) -> list[Job]:
    """Part by part, all subjects of a part one after the other; each part begins with another one."""
    jobs: list[Job] = []
    parts = [part for letter in letters for part in PARTS[letter]]
    for number, part in enumerate(parts):
        variants = part.ours + (tuple(policies) if part.name == "codecs" else ())
        subjects = [(OURS, variants)]
        if part.rivals is not None:
            subjects += [(rival, (part.rivals,)) for rival in rivals]
        first = number % len(subjects)
        for subject, wanted in subjects[first:] + subjects[:first]:
            jobs += [Job(part.name, subject, variant, tier, str(cache)) for variant in wanted]
    return jobs


def run(job: Job, python: str, limit: float) -> dict[str, Any]:
    """The worker's result; a crash, a hang or a missing package is a result too."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "job.json", Path(folder) / "result.json"
        question.write_text(json.dumps(vars(job)))
        command = [python, "-m", "experiments.bench.worker", str(question), str(answer)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, timeout=limit, capture_output=True, text=True
            )
            code, errors = done.returncode, done.stderr
        except subprocess.TimeoutExpired:
            code, errors = None, f"stopped after {limit:.0f} s"
        except OSError as error:
            code, errors = None, str(error)
        if answer.exists():
            result = json.loads(answer.read_text())
        else:
            last = (errors.strip().splitlines() or [""])[-1]
            reason = last if code is None else f"exit code {code}: {last}"
            result = {"status": "failed", "reason": reason[:200]}
    if result["status"] == "failed" and job.subject == OURS:
        print(errors, file=sys.stderr)
    return {
        "part": job.part,
        "subject": job.subject,
        "variant": job.variant,
        "seconds": round(time.perf_counter() - started, 1),
        **result,
    }
