"""The law of importance weights: (N P)^-beta over the largest of the batch, or of everything held."""

from __future__ import annotations

import numpy as np
import pytest

from r2d2.replay import Combined, Fifo, Proportional, RankBased, Recency, Replay, Sequencer, Uniform
from r2d2.replay.draw import check_normalize, importance_weights
from r2d2.types import Column

PRIORITIES = np.array([4.0, 1.0, 0.0, 0.25, 9.0, 2.0])


def test_the_smallest_probability_is_that_of_all_items_that_can_be_drawn() -> None:
    """By the formula of each selector; a priority of exactly 0 is never drawn and does not count."""
    places = np.arange(6)
    proportional = Proportional(8, alpha=1.0, epsilon=0.0)
    rank, uniform = RankBased(8, alpha=1.0, refresh=0.0), Uniform(8)
    for selector in (proportional, rank, uniform):
        selector.insert(places, places * 0)
        selector.update(places, PRIORITIES)
    assert proportional.min_probability() == pytest.approx(0.25 / 16.25)
    assert rank.min_probability() == pytest.approx(1 / 6 / sum(1 / r for r in range(1, 7)))
    assert uniform.min_probability() == pytest.approx(1 / 6)
    proportional.remove(np.array([3]))
    assert proportional.min_probability() == pytest.approx(1.0 / 16.0)


def test_a_tiny_priority_shrinks_every_weight_under_the_buffer_maximum_only() -> None:
    """Which is why the batch's maximum is the default."""
    probability = np.array([0.3, 0.2])
    assert importance_weights(probability, 100, 1.0).max() == 1.0
    assert importance_weights(probability, 100, 1.0, smallest=1e-9).max() < 1e-8
    np.testing.assert_allclose(importance_weights(probability, 100, 0.0, smallest=1e-9), 1.0)


def replay_of(normalize: str) -> Replay:
    """Ten one-step items whose priorities are 1, 2, ..., 10."""
    replay = Replay(
        {"value": Column()}, streams=1, sequencer=Sequencer(1, burn_in=0, unroll=1, n_step=1, period=1),
        selector=Proportional(10, alpha=1.0, epsilon=0.0), remover=Fifo(10), capacity=10, steps=40, block=4,
        normalize=normalize,
    )  # fmt: skip
    ids = [replay.write({"value": np.zeros(1, np.float32)}, np.array([False])) for _ in range(11)]
    replay.update_priorities(np.concatenate(ids), np.arange(1.0, 11.0))
    return replay


def test_weights_of_a_replay() -> None:
    """Without strata's lowest item in the batch the two differ."""
    for normalize, largest in (("batch", None), ("buffer", (10 * 1 / 55) ** -0.5)):
        replay = replay_of(normalize)
        rng = np.random.default_rng(0)
        for _ in range(20):
            batch = replay.sample(3, rng, beta=0.5)
            plain = (10 * batch.probability) ** -0.5
            np.testing.assert_allclose(batch.weight, plain / (largest or plain.max()), rtol=1e-6)


def test_what_cannot_be_normalized_so_is_refused_with_the_reason() -> None:
    for selector in (Combined(Uniform(4), capacity=4, streams=1), Recency(4, decay=0.1)):
        with pytest.raises(
            ValueError, match=f'"buffer" needs .* {type(selector).__name__} does not.*"batch"'
        ):
            check_normalize("buffer", selector)
        check_normalize("batch", selector)
    with pytest.raises(ValueError, match='normalize must be "batch" or "buffer", got \'most\''):
        check_normalize("most", Uniform(4))  # type: ignore[arg-type]
