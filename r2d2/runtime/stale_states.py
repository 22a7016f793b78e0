"""What a reset of the networks means for recurrent states that were stored before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from r2d2.agent.resets import resets_until
from r2d2.config import Config
from r2d2.runtime.meter import Ages
from r2d2.types import Batch


def without_stale_states(config: Config, batch: Batch, ages: Ages, updates: int) -> Batch:
    """A batch that is drawn after `updates`, with zero for stored states of weights before the last reset, if
    `learner.reset_states` is zero.

    An item goes by the weights that acted on its last step; those that are not known, such as
    demonstrations, count as before.
    """
    c = config.learner
    resets = resets_until(c, updates)
    if c.reset_states == "keep" or not resets:
        return batch
    stale = ages.acted(batch.ids) < resets * c.reset_period
    return replace(batch, core=np.where(stale[:, None], np.float32(0), batch.core))
