"""Package metadata; exact versions that are known to work are in constraints.txt.

`pip install .` brings the replay library alone, which needs no torch; the extra `train` brings agents, runs and the
command line, and so does every extra for environments, videos or clusters. `make` installs all of it.

The distribution is `r2d2-replay`, since `r2d2` is another project's on the public index; the module is `r2d2`.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

INIT = Path(__file__).with_name("r2d2") / "__init__.py"
VERSION = re.findall(r'^__version__ = "(.+)"$', INIT.read_text(), re.MULTILINE)[0]

REPLAY = ["cramjam>=2.9", "numba>=0.60", "numpy>=1.26", "zstandard>=0.22"]  # all that `r2d2.replay` imports
TRAIN = [
    "gymnasium>=1.1",
    "psutil>=5.9",
    "rich>=13.0",
    "safetensors>=0.4",
    "torch>=2.11",
    "tyro>=0.9",
    "wandb>=0.19",
]
VIDEO = ["imageio[ffmpeg]>=2.34"]
ATARI = ["ale-py>=0.11"]
RAY = ["ray>=2.52"]  # the first with tokens
REPORT = ["jinja2>=3.1", "matplotlib>=3.8", "plotly>=6.0"]
DOCS = ["furo>=2025.7", "myst-parser>=5.0", "sphinx>=8.2"]
MINARI = ["minari[hdf5]>=0.5.4"]  # the first that can store images without loss
SB3 = ["stable-baselines3>=2.7"]  # the first with n-step returns

setup(
    name="r2d2-replay",
    version=VERSION,
    description="Recurrent sequence replay: R2D2 and the replay methods around it",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["r2d2*"]),  # `r2d2.envs` is a link to the folder `envs`
    package_data={
        "r2d2": ["py.typed"],
        "r2d2.report": ["*.csv", "*.css", "*.html", "*.js"],
        "r2d2.viewer": ["*.css", "*.html", "*.js"],
    },
    install_requires=REPLAY,
    extras_require={
        "train": TRAIN,
        "atari": [*TRAIN, *ATARI],
        "cluster": [*TRAIN, *RAY],
        "minigrid": [*TRAIN, "minigrid>=3.0"],
        "popgym": [*TRAIN, "popgym[navigation]>=1.0.6"],
        "mujoco": [*TRAIN, "gymnasium[mujoco]"],
        "minatar": [*TRAIN, "minatar>=1.0.15"],  # the first for gymnasium
        "vizdoom": [*TRAIN, "vizdoom>=1.3"],  # earlier ones call a timeout a termination
        "video": [*TRAIN, *VIDEO],
        "report": [*TRAIN, *REPORT],
        "minari": [*TRAIN, *MINARI],
        "sb3": SB3,
        "docs": DOCS,
        "peer": ["sb3-contrib>=2.7"],  # RecurrentPPO, for the memory benchmark
        "dev": [
            *TRAIN,
            *ATARI,
            *RAY,
            *REPORT,
            *VIDEO,
            *MINARI,
            *SB3,
            *DOCS,
            "hypothesis>=6.100",
            "import-linter>=2.0",
            "mypy>=1.11",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "selenium>=4.20",
        ],
    },
    entry_points={"console_scripts": ["r2d2 = r2d2.cli.main:main"]},
)
