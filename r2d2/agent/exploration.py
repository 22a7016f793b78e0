"""How often each environment acts at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def epsilon_ladder(environments: int, *, base: float = 0.4, power: float = 7.0) -> NDArray[np.float64]:
    """eps_i = base^(1 + power i / (N - 1)), one per environment (Ape-X section 4; R2D2 appendix).

    >>> epsilon_ladder(3).round(4).tolist()
    [0.4, 0.0162, 0.0007]
    """
    if environments == 1:
        return np.array([base ** (1.0 + power / 2.0)])  # the ladder's geometric middle
    return base ** (1.0 + power * np.arange(environments) / (environments - 1))
