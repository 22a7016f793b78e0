"""What the fork server does once, so that no child has to: import everything, and load the compiled kernels.

A child starts as a copy of the server. That is fast, and safe as long as the server has a single thread.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import torch
import torch._dynamo  # what torch.optim imports when the first optimizer is made: seconds

sys.path.insert(0, str(Path(__file__).parent))  # as pytest has it
from run_cases import new_run, tiny

torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    new_run(tiny(), Path(folder)).train()
assert threading.active_count() == 1
