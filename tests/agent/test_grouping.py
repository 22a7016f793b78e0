"""The law of groups by length: an update of whole episodes is the same however its items are grouped."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from helpers import Setup
from hypothesis import given
from hypothesis import strategies as st
from test_learner import case

from r2d2.agent.grouping import SAVED, grouped, length_groups

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40).map(np.array)


@given(LENGTHS, st.integers(1, 2000))
def test_each_further_group_saves_what_it_must_and_no_item_is_lost(lengths: np.ndarray, saved: int) -> None:
    groups = length_groups(lengths, saved)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    left = len(lengths)
    for before, after in itertools.pairwise(groups):
        left -= len(before)
        longest, shorter = lengths[before].max(), lengths[after].max()
        assert 2 * shorter <= longest
        assert (longest - shorter) * left >= saved
    alone = length_groups(lengths, math.inf)
    assert len(alone) == 1
    np.testing.assert_array_equal(alone[0], np.arange(len(lengths)))  # in their own order, as without groups


@pytest.mark.parametrize("parts", [1, 2])
def test_an_update_is_the_same_in_groups(parts: int) -> None:
    """Priorities, metrics and parameters; an item's priority is its own."""
    setup = Setup(burn_in=0, unroll=16, period=16)
    learner, batch = case(setup, items=9, gradient_accumulation_steps=parts)
    learner.initial_state, learner.trims = "episode", True
    assert len(grouped(batch, setup.unroll, 1)[0]) > 2
    assert [part.length.max() for part in grouped(batch, setup.unroll, 1)[0]] == [
        part.columns["reward"].shape[1] - setup.n_step for part in grouped(batch, setup.unroll, 1)[0]
    ]
    other = copy.deepcopy(learner)
    learner._saved, other._saved = 1, math.inf
    ours, whole = learner.update(batch), other.update(batch)
    np.testing.assert_allclose(ours.priorities, whole.priorities, rtol=1e-4, atol=1e-6)
    assert len(np.unique(whole.priorities.round(5))) == len(batch.ids)  # so that their order shows
    assert ours.metrics == pytest.approx(whole.metrics, rel=1e-4)
    for one, two in zip(learner.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_groups_are_for_large_observations_and_errors_in_their_own_unit() -> None:
    images = Setup(shape=(24, 24), dtype="uint8", stack=3)
    assert case(images)[0]._saved == SAVED
    assert case(Setup())[0]._saved == math.inf  # too little is gained: results stay as they were, bit for bit
    assert case(images, normalize_td_errors=True)[0]._saved == math.inf
