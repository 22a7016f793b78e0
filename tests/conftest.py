"""One thread per test worker: tests are small, and two workers must not fight for the cores."""

import torch

torch.set_num_threads(1)
