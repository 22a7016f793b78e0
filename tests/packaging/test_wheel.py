"""Laws of the installed package: it brings one module, `r2d2`, and a project's own folders stay its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import r2d2
from r2d2.errors import DISTRIBUTION, how_to_install

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"how_to_install\(['\"](\w+)['\"]\)")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves files beside setup.py."""
    copy, out = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("wheel")
    copy.mkdir()
    left_out = shutil.ignore_patterns("__pycache__", "results")
    for name in ("r2d2", "envs", "experiments"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=left_out)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
        "-w",
        out,
    ]
    subprocess.run([*map(str, pip), str(copy)], check=True, timeout=300)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of modules with the wheel in it, as pip would unpack it."""
    target = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def python(code: str, project: Path, installed: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a project's folder, with the installed package and without this checkout."""
    environ = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environ, capture_output=True, text=True, timeout=120
    )


def test_the_wheel_brings_one_module(installed: Path) -> None:
    """No top-level `envs`, `experiments` or `tests` that would take the place of a project's own."""
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"r2d2"}
    assert (installed / "r2d2" / "envs" / "make.py").is_file()
    assert (installed / "r2d2" / "py.typed").is_file(), "type checkers read our annotations"


def test_a_project_with_folders_of_the_same_names_keeps_them(installed: Path, tmp_path: Path) -> None:
    """Its `envs` is imported as `envs`, ours as `r2d2.envs`, and a run trains beside them."""
    for name in ("envs", "experiments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"WHOSE = 'the project {name}'\n")
    code = """if 1:
        import sys
        import envs, experiments
        assert (envs.WHOSE, experiments.WHOSE) == ("the project envs", "the project experiments")
        from r2d2.cli.main import main
        words = "train memory --env Recall-v0 --env.num-envs 2 --steps 60 --replay.min-steps 40 --replay.steps 200"
        words += " --run.evaluate-period 0 --track none --run-dir run"
        assert main(words.split()) == 0
        import r2d2.envs.make
        assert sys.modules["envs"].WHOSE == "the project envs"
        print(r2d2.envs.make.__file__)
    """
    done = python(code, tmp_path, installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(installed / "r2d2" / "envs" / "make.py")


def test_remedies_name_what_can_be_installed(installed: Path, tmp_path: Path) -> None:
    """From the wheel the distribution, whose name is not that of another project; each extra is one that it has."""
    done = python("import r2d2.errors as e; print(e.how_to_install('atari'))", tmp_path, installed)
    (info,) = installed.glob("*.dist-info")
    metadata = (info / "METADATA").read_text().splitlines()
    assert f"Name: {DISTRIBUTION}" in metadata
    assert f"Version: {r2d2.__version__}" in metadata
    assert done.stdout.endswith(f"pip install '{DISTRIBUTION}[atari]'\n") or "-m pip" in done.stdout
    extras = {line.removeprefix("Provides-Extra: ") for line in metadata if line.startswith("Provides-Extra")}
    named = {name for file in ROOT.glob("[er]*/**/*.py") for name in NAMED.findall(file.read_text())}
    assert named >= {"atari", "cluster", "video"}
    assert named <= extras


def test_remedies_name_the_checkout_in_a_checkout() -> None:
    assert how_to_install("video").endswith(f" install -e '{ROOT}[video]'")


def test_no_text_names_the_other_project() -> None:
    """`pip install r2d2` would bring another person's package."""
    for file in [*ROOT.glob("[der]*/**/*.py"), *ROOT.glob("docs/*.md"), *ROOT.glob("*.md")]:
        assert not re.search(r"pip install [^`\n]*\br2d2(?!-replay)\b[\[' `]", file.read_text()), file


def test_the_folder_is_not_imported_under_two_names() -> None:
    """A second copy of each module would register the tasks again, and not know the classes of the first."""
    done = subprocess.run([sys.executable, "-c", "import envs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: import r2d2.envs" in done.stderr
