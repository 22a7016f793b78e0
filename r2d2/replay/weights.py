"""Importance weights, which undo in the mean what drawing by priority does to the distribution of items."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_beta
from r2d2.replay.selectors.selector import Selector

Normalize = Literal["batch", "buffer"]


@runtime_checkable
class HasMinimum(Protocol):
    """A selector that knows the smallest probability of all the items that it can draw."""

    def min_probability(self) -> float: ...


def importance_weights(
    probability: NDArray[np.float64], items: int, beta: float, smallest: float | None = None
) -> NDArray[np.float32]:
    """w = (N P)^-beta over the largest in the batch, or over that of an item of probability `smallest`.

    The first is the default. The second is the paper's text (Schaul et al. 2016, algorithm 1: max over i),
    but a single item of a priority near zero makes every weight of every batch tiny until it is removed, as
    if the learning rate had been lowered, and learning stands still.

    >>> importance_weights(np.array([0.5, 0.25]), 4, 1.0).tolist()
    [0.5, 1.0]
    >>> importance_weights(np.array([0.5, 0.25]), 4, 1.0, smallest=0.125).tolist()
    [0.25, 0.5]
    """
    beta = check_beta(beta)
    scaled = (items * probability) ** -beta
    largest = scaled.max() if smallest is None else (items * smallest) ** -beta
    return (scaled / largest).astype(np.float32)


def weights_of(
    selector: Selector, probability: NDArray[np.float64], beta: float, normalize: Normalize
) -> NDArray[np.float32]:
    """Importance weights of items that this selector drew with these probabilities."""
    if beta == 0.0:
        return np.ones(len(probability), np.float32)
    smallest = None
    if normalize == "buffer" and isinstance(selector, HasMinimum):
        smallest = selector.min_probability()
    return importance_weights(probability, len(selector), beta, smallest)


def check_normalize(normalize: Normalize, selector: object) -> None:
    """Raise ValueError where the weights cannot be normalized so with this selector."""
    if normalize not in ("batch", "buffer"):
        raise ValueError(f'normalize must be "batch" or "buffer", got {normalize!r}')
    if normalize == "buffer" and not isinstance(selector, HasMinimum):
        raise ValueError(
            f'normalize="buffer" needs the smallest probability of all items, which {type(selector).__name__}'
            ' does not have (it depends on the batch, or falls towards 0 with age): use normalize="batch"'
        )
