"""Named changes to a preset, as in `r2d2-small+gru`: each sets some fields."""

from __future__ import annotations

from typing import Any

# The R2D2 paper's ablations (sections 3 and 5, appendix) and ours.
CHANGES: dict[str, dict[str, Any]] = {
    "zero": {"replay.initial_state": "zero"},
    "refreshed": {"replay.initial_state": "refreshed"},
    "burn-in-0": {"replay.burn_in": 0},
    "burn-in-20": {"replay.burn_in": 20},
    "burn-in-40": {"replay.burn_in": 40},
    "feed-forward": {"network.core": "none"},
    "gru": {"network.core": "gru"},
    # For memories of tens of steps and more (ours, docs/memory.md): `memory+linear`.
    "linear": {
        "network.core": "lru",
        "replay.initial_state": "episode",
        "replay.replay_ratio": 32.0,
        "learner.learning_rate": 1e-3,
        "learner.batch": 16,
    },
    "no-previous": {"network.previous_inputs": False},
    "clip": {"learner.rescaling": False, "learner.reward_clip": 1.0},
    "discount-99": {"learner.discount": 0.99},
    "reset": {"env.life_loss": "reset"},
    "roll": {"env.life_loss": "roll"},
    "eta-0": {"replay.eta": 0.0},
    "eta-1": {"replay.eta": 1.0},
    "uniform": {"replay.selector": "uniform"},
    # alpha as in the proportional variant of prioritized replay; with LAP there are no importance weights.
    "lap": {"replay.priority": "lap", "learner.loss": "huber", "replay.alpha": 0.6, "replay.beta": 0.0},
    # What the R2D2 paper's text says of importance weights, against its table.
    "no-weights": {"replay.beta": 0.0, "replay.beta_steps": 0},
    "peng": {"learner.target": "peng"},
    "retrace": {"learner.target": "retrace"},
    "watkins": {"learner.target": "watkins"},
    "munchausen": {"learner.munchausen": 0.9, "replay.first_priority": "highest"},
    "adamw": {"learner.optimizer": "adamw"},
    "n1": {"replay.n_step": 1},
    "n3": {"replay.n_step": 3},
    "n5": {"replay.n_step": 5},
    "unroll-40": {"replay.unroll": 40},
    "unroll-80": {"replay.unroll": 80},
    "unroll-160": {"replay.unroll": 160},
}
