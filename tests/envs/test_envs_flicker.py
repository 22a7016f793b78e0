"""Flicker hides whole observations, as often as asked, by the seed of the slot, and changes nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from r2d2.envs.make import make, make_single

STEPS = 600  # longer than what is drawn ahead


def run(env: Any, actions: np.ndarray, seed: int) -> tuple[np.ndarray, list[Any]]:
    first = env.reset(seed)
    results = [env.step(action) for action in actions]
    return np.stack([first, *[result.observation for result in results]]), results


def test_a_blank_is_all_zeros_and_all_else_is_as_it_was() -> None:
    actions = np.random.default_rng(0).integers(0, 2, (STEPS, 8))
    plain, expected = run(make("CartPole-v1", 8), actions, seed=3)
    seen, results = run(make("CartPole-v1", 8, options={"flicker": 0.3}), actions, seed=3)
    blank = (seen == 0).all(axis=-1)
    np.testing.assert_array_equal(seen[~blank], plain[~blank])
    for left, right in zip(results, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(left[1:], right[1:], strict=True))
    assert blank.mean() == pytest.approx(0.3, abs=0.03)
    assert blank[0].any()  # first observations too
    done = np.stack([result.terminated for result in results])
    assert blank[1:][done].mean() == pytest.approx(0.3, abs=0.1)  # and final ones
    both = blank[1:] & blank[:-1]
    assert both.mean() == pytest.approx(0.09, abs=0.02)  # each step on its own
    assert (blank[:, 0] & blank[:, 1]).mean() == pytest.approx(0.09, abs=0.05)  # and each slot


def test_slot_i_blinks_like_slot_0_of_seed_plus_i_whatever_the_actions() -> None:
    options = {"flicker": 0.5}
    actions = np.random.default_rng(0).integers(0, 2, (STEPS, 3))
    seen, _ = run(make("CartPole-v1", 3, options=options), actions, seed=5)
    for slot in range(3):
        alone, _ = run(make("CartPole-v1", 1, options=options), actions[:, slot : slot + 1], seed=5 + slot)
        np.testing.assert_array_equal(seen[:, slot], alone[:, 0])
    other, _ = run(make("CartPole-v1", 3, options=options), 1 - actions, seed=5)
    np.testing.assert_array_equal((other == 0).all(axis=-1), (seen == 0).all(axis=-1))
    again = make("CartPole-v1", 3, options=options)
    run(again, actions[:33], seed=9)
    np.testing.assert_array_equal(run(again, actions, seed=5)[0], seen)


@pytest.mark.parametrize(("probability", "blanks"), [(0.0, 0), (1.0, 51 * 4)])
def test_never_and_always(probability: float, blanks: int) -> None:
    seen, _ = run(
        make("MaskedCartPole-v0", 4, options={"flicker": probability}), np.zeros((50, 4), np.int64), seed=0
    )
    assert (seen == 0).all(axis=-1).sum() == blanks


def test_a_film_shows_the_game_and_the_agent_what_the_vector_shows() -> None:
    options = {"flicker": 0.5, "delay": 4}
    film, vector = make_single("Recall-v0", options=options), make("Recall-v0", 1, options=options)
    zeros = np.zeros((40, 1), dtype=np.int64)
    np.testing.assert_array_equal(run(film, zeros, 1)[0], run(vector, zeros, 1)[0])
    always = make_single("Recall-v0", options={"flicker": 1.0})
    assert not always.reset(0).any()
    assert always.rgb_frame().any()


def test_atari_flickers_whole_frames() -> None:
    pytest.importorskip("ale_py")
    options = {"flicker": 0.5, "max_frames": 200}
    actions = np.random.default_rng(0).integers(0, 18, (120, 2))
    plain, _ = run(make("ALE/Pong-v5", 2, frame_size=42, options={"max_frames": 200}), actions, seed=1)
    seen, _ = run(make("ALE/Pong-v5", 2, frame_size=42, options=options), actions, seed=1)
    blank = (seen == 0).all(axis=(2, 3))
    assert seen.dtype == np.uint8
    assert blank.mean() == pytest.approx(0.5, abs=0.12)
    np.testing.assert_array_equal(seen[~blank], plain[~blank])
    film, _ = run(make_single("ALE/Pong-v5", frame_size=42, options=options), actions[:20, :1], seed=1)
    np.testing.assert_array_equal(film[:, 0], seen[:21, 0])
