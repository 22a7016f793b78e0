"""Package metadata; exact versions that are known to work are in constraints.txt.

The distribution is `r2d2-replay`, since `r2d2` is another project's on the public index; the module is `r2d2`.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

INIT = Path(__file__).with_name("r2d2") / "__init__.py"
VERSION = re.findall(r'^__version__ = "(.+)"$', INIT.read_text(), re.MULTILINE)[0]

VIDEO = ["imageio[ffmpeg]>=2.34"]
ATARI = ["ale-py>=0.11"]
RAY = ["ray>=2.40"]
SB3 = ["stable-baselines3>=2.7"]  # the first with n-step returns

setup(
    name="r2d2-replay",
    version=VERSION,
    description="Recurrent sequence replay: R2D2 and the replay methods around it",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["r2d2*"]),  # `r2d2.envs` is a link to the folder `envs`
    package_data={"r2d2": ["py.typed"]},
    install_requires=[
        "cramjam>=2.9",
        "gymnasium>=1.1",
        "numba>=0.60",
        "numpy>=1.26",
        "psutil>=5.9",
        "torch>=2.11",
        "tyro>=0.9",
        "wandb>=0.19",
        "zstandard>=0.22",
    ],
    extras_require={
        "atari": ATARI,
        "cluster": RAY,
        "minigrid": ["minigrid>=3.0"],
        "popgym": ["popgym[navigation]>=1.0.6"],
        "vizdoom": ["vizdoom>=1.3"],  # earlier ones call a timeout a termination
        "video": VIDEO,
        "report": ["matplotlib>=3.8"],
        "sb3": SB3,
        "dev": [
            *ATARI,
            *RAY,
            *VIDEO,
            *SB3,
            "hypothesis>=6.100",
            "import-linter>=2.0",
            "matplotlib>=3.8",
            "mypy>=1.11",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
        ],
    },
    entry_points={"console_scripts": ["r2d2 = r2d2.cli.main:main"]},
)
