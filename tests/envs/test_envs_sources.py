"""A task of the user's own: from a package, a module or a file, wherever it lies, with any options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from r2d2.envs.make import make, make_single
from r2d2.envs.modules import import_named
from r2d2.envs.vector import EnvError

TASK = '''
import gymnasium as gym
import numpy as np

class Task(gym.Env):
    """Shows its options."""
    metadata = {"render_modes": ["rgb_array"]}
    observation_space = gym.spaces.Box(-99, 99, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, size=3, name="short", render_mode=None):
        self.shown = np.array([size, len(name)], np.float32)
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.shown, {}

    def step(self, action):
        return self.shown, 1.0, False, False, {}

    def render(self):
        return np.full((2, 2, 3), 7, np.uint8)

def wrapped(limit=4, **options):
    return gym.wrappers.TimeLimit(Task(**options), limit)

gym.register("NAME/Task-v0", entry_point=Task, max_episode_steps=5)
'''


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Leaves path, modules and registry as they were."""
    path, modules, registry = list(sys.path), set(sys.modules), dict(gym.registry)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    gym.registry.clear()
    gym.registry.update(registry)


def write(folder: Path, name: str, text: str = TASK) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.replace("NAME", file.stem))
    return file


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a module my_tasks in it."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "my_tasks.py")
    return tmp_path


def test_a_package_registers_its_task(tasks: Path) -> None:
    """As a filmed one too; the working folder stays the last on the path."""
    before = len(sys.path)
    env = make("my_tasks:my_tasks/Task-v0", 2, options={"size": 5, "name": "longer"})
    assert (env.spec.id, env.spec.max_episode_steps) == ("my_tasks:my_tasks/Task-v0", 5)
    assert env.reset(0).tolist() == [[5, 6]] * 2
    assert sys.path[before:] == [str(tasks)]
    film = make_single("my_tasks:my_tasks/Task-v0", options={"size": 5})
    film.reset(0)
    assert film.rgb_frame().tolist() == np.full((2, 2, 3), 7).tolist()


@pytest.mark.parametrize(
    "source", ["my_tasks", "my_tasks.py", "./my_tasks.py", "sub/my_tasks.py", "ABSOLUTE"]
)
def test_a_function_or_class_returns_the_environment(tasks: Path, source: str) -> None:
    write(tasks, "sub/my_tasks.py")
    source = str(tasks / "my_tasks.py") if source == "ABSOLUTE" else source
    env = make(f"{source}:wrapped", 2, options={"size": 8})
    assert env.reset(0)[:, 0].tolist() == [8, 8]
    assert env.spec.max_episode_steps == 4
    assert make(f"{source}:wrapped", 1, options={"max_episode_steps": 2}).spec.max_episode_steps == 2
    assert make(f"{source}:Task", 1).spec.max_episode_steps is None
    assert make(f"{source}:{Path(source).stem}/Task-v0", 1).spec.max_episode_steps == 5


def test_a_module_is_found_from_another_folder_where_it_was_first(
    tasks: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one of the same name that lies in the new working folder, even where that comes first on the path."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, "my_tasks.py", "wrapped = None")
    monkeypatch.chdir(elsewhere)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert make("my_tasks:wrapped", 1, folder=str(tasks)).spec.max_episode_steps == 4
    assert make("my_tasks.py:wrapped", 1, folder=str(tasks)).spec.max_episode_steps == 4


def test_a_file_imports_what_lies_beside_it(tasks: Path) -> None:
    write(tasks, "deep/neighbor_of_it.py", "SIZE = 11")
    write(
        tasks,
        "deep/odd-name.py",
        "from my_tasks import Task\nfrom neighbor_of_it import SIZE\ndef one():\n    return Task(SIZE)\n",
    )
    assert make("deep/odd-name.py:one", 1).reset(0)[0, 0] == 11


def test_two_files_of_one_name_are_two_modules(tasks: Path) -> None:
    for folder, size in (("a", 1), ("b", 2)):
        write(tasks, f"{folder}/same.py", f"from my_tasks import Task\ndef one():\n    return Task({size})\n")
    assert [make(f"{folder}/same.py:one", 1).reset(0)[0, 0] for folder in "abab"] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("no_such_module:Task-v0", r"there is no module 'no_such_module'.* or in .*--env\.folder"),
        ("my_tasks.deep:Task-v0", "there is no module 'my_tasks.deep'"),
        ("no_such_file.py:Task", r"there is no file .*no_such_file\.py; give its path"),
        (
            "my_tasks:Tusk-v0",
            "my_tasks.py neither registers 'Tusk-v0' .* it has my_tasks/Task-v0, Task, wrapped",
        ),
        ("my_tasks:np.pi", "nor has a function or class of this name"),
    ],
)
def test_an_id_that_leads_nowhere_says_where_it_was_looked_for(
    tasks: Path, env_id: str, message: str
) -> None:
    with pytest.raises(EnvError, match=message):
        make(env_id, 1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import no_such_thing", ModuleNotFoundError),
        ("from numpy import no_such_name", ImportError),
        ("1 / 0", ZeroDivisionError),
        ("raise ValueError('mine')", ValueError),
        ("def broken(:", SyntaxError),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".py"])
def test_what_fails_inside_the_module_is_raised_as_it_is(
    tasks: Path, text: str, kind: type[Exception], suffix: str
) -> None:
    """With its traceback, a note on what was being done, and no trace in sys.modules."""
    write(tasks, "broken_one.py", text)
    for _ in range(2):
        with pytest.raises(kind) as found:
            make(f"broken_one{suffix}:Task", 1)
        assert not isinstance(found.value, EnvError)
        assert "while 'broken_one" in found.value.__notes__[0]
        assert not any(name.startswith("broken_one") for name in sys.modules)


def test_an_error_in_the_constructor_is_the_users_own(tasks: Path) -> None:
    write(tasks, "failing.py", "def task(size=1):\n    return [1, 2][size]\n")
    with pytest.raises(IndexError) as found:
        make("failing:task", 1, options={"size": 9})
    assert "failing:task was built with options {'size': 9}" in found.value.__notes__[0]
    assert any("failing.py" in str(entry.path) for entry in found.traceback)


@pytest.mark.parametrize(
    ("env_id", "option", "message"),
    [
        (
            "my_tasks:Task",
            "sice",
            "my_tasks:Task has no option 'sice', did you mean 'size'.* size, name, max_",
        ),
        ("my_tasks:wrapped", "sice", "my_tasks:wrapped has no option 'sice'"),
        (
            "my_tasks:my_tasks/Task-v0",
            "other",
            "has no option 'other'; its options are size, name, max_episode_",
        ),
    ],
)
def test_an_unknown_option_names_the_known_ones(tasks: Path, env_id: str, option: str, message: str) -> None:
    with pytest.raises(EnvError, match=message):
        make(env_id, 1, options={option: 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def task():\n    return 3", "gives a builtins.int, which is no gymnasium.Env"),
        ("class task:\n    pass", "which is no gymnasium.Env: inherit"),
        ("from my_tasks import Task\none = Task()\ndef task():\n    return one", "same environment twice"),
        ("import gymnasium as g\nfrom my_tasks import Task\nn = [0]\ndef task():\n    n[0] += 1\n    one = Task()\n"
         "    one.observation_space = g.spaces.Box(0, n[0], (2,))\n    return one",
         r"observation_space of other:task differs between copies, Box\(0.0, 1.0"),
        ("import gymnasium as g\nfrom my_tasks import Task\nn = [2]\ndef task():\n    n[0] += 1\n    one = Task()\n"
         "    one.action_space = g.spaces.Discrete(n[0])\n    return one",
         r"action_space of other:task differs between copies, Discrete\(3\) in slot 0 and Discrete\(4\) in slot 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_slot_is_refused(tasks: Path, text: str, message: str) -> None:
    write(tasks, "other.py", text)
    with pytest.raises(EnvError, match=message):
        make("other:task", 3)


def test_a_film_needs_pictures(tasks: Path) -> None:
    assert make_single("my_tasks:wrapped").spec.max_episode_steps == 4  # its **options take render_mode
    write(tasks, "blind.py", "from my_tasks import Task\ndef task():\n    return Task()\n")
    with pytest.raises(EnvError, match="blind:task cannot be filmed: its render_mode is None"):
        make_single("blind:task")
    write(
        tasks,
        "seeing.py",
        "from my_tasks import Task\ndef task():\n    return Task(render_mode='rgb_array')\n",
    )
    film = make_single("seeing:task")
    film.reset(0)
    assert film.rgb_frame().shape == (2, 2, 3)


def test_a_process_without_the_working_folder_on_its_path_finds_the_module(tasks: Path) -> None:
    """As the installed command and a spawned worker are; with -P Python leaves the working folder out."""
    code = "from r2d2.envs.make import make; print(make('my_tasks:wrapped', 1).spec.max_episode_steps)"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tasks, capture_output=True, text=True)
    assert done.stdout.split() == ["4"], done.stderr


def test_import_named_gives_the_module(tasks: Path) -> None:
    assert Path(str(import_named("my_tasks", "", "x").__file__)) == tasks / "my_tasks.py"


def test_a_package_that_an_environment_misses_is_named(tasks: Path) -> None:
    """Of gymnasium's own in one sentence; a user's module shows its traceback."""
    write(tasks, "lazy.py", "import gymnasium as gym\ngym.register('Lazy-v0', entry_point='lazy_part:Task')\n"
          "gym.register('Absent-v0', entry_point='no_such_package:Task')\n")  # fmt: skip
    write(tasks, "lazy_part.py", "import no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        make("lazy:Lazy-v0", 1)
    with pytest.raises(EnvError, match="Absent-v0 needs a package that is not installed: No module named"):
        make("Absent-v0", 1)
