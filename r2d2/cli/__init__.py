"""The command line, which needs the extra `train`; the replay library works without it."""

import importlib.util
import sys

from r2d2.errors import how_to_install

_missing = [
    name for name in ("torch", "gymnasium", "tyro", "psutil") if importlib.util.find_spec(name) is None
]
if _missing:
    print(f"r2d2: {_missing[0]} is not installed: {how_to_install('train')}", file=sys.stderr)
    raise SystemExit(2)
