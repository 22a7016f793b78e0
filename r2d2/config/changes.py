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
    "lstm": {"network.core": "lstm"},
    "gru": {"network.core": "gru"},
    "lru": {"network.core": "lru"},
    "mingru": {"network.core": "mingru"},
    "ffm": {"network.core": "ffm"},
    "stored": {"replay.initial_state": "stored"},
    "episode": {"replay.initial_state": "episode"},
    # What the preset `memory` was until 0.1, for memories of up to 20 steps: `memory+lstm-stored`.
    "lstm-stored": {
        "network.core": "lstm",
        "network.features": 32,
        "network.core_width": 32,
        "network.hidden": 32,
        "network.forget_bias": 1.0,
        "replay.initial_state": "stored",
        "replay.steps": 20_000,
        "replay.items": 0,
        "replay.n_step": 3,
        "replay.replay_ratio": 16.0,
        "learner.batch": 32,
        "learner.batch_steps": 0,
        "learner.learning_rate": 2e-3,
        "learner.learning_rate_end": 1.0,
        "learner.adam_epsilon": 1e-5,
        "learner.target_period": 50,
        "learner.target_averaging": 1.0,
        "learner.rescaling": True,
        "learner.value_rms": 0.0,
        "actor.epsilon_base": 0.2,
    },
    "no-previous": {"network.previous_inputs": False},
    "value-scale": {"learner.value_rms": 10.0, "learner.rescaling": False},
    "rescaling": {"learner.rescaling": True, "learner.value_rms": 0.0},
    "clip": {"learner.rescaling": False, "learner.reward_clip": 1.0},
    "discount-99": {"learner.discount": 0.99},
    "reset": {"env.life_loss": "reset"},
    "roll": {"env.life_loss": "roll"},
    "eta-0": {"replay.eta": 0.0},
    "eta-1": {"replay.eta": 1.0},
    "uniform": {"replay.selector": "uniform"},
    # alpha as in the proportional variant of prioritized replay; with LAP there are no importance weights.
    "lap": {
        "replay.priority": "lap",
        "learner.loss": "huber",
        "learner.value_rms": 0.0,
        "replay.alpha": 0.6,
        "replay.beta": 0.0,
    },
    # What the R2D2 paper's text says of importance weights, against its table.
    "no-weights": {"replay.beta": 0.0, "replay.beta_steps": 0},
    "peng": {"learner.target": "peng"},
    "retrace": {"learner.target": "retrace"},
    "watkins": {"learner.target": "watkins"},
    # MEME (Kapturowski et al. 2023); the actor does not know the scale of TD errors of first priorities.
    "td-normalization": {
        "learner.normalize_td_errors": True,
        "learner.value_rms": 0.0,
        "replay.first_priority": "highest",
    },
    "trust-region": {"learner.trust_region": 2.0, "learner.bootstrap": "online", "learner.value_rms": 0.0},
    "munchausen": {"learner.munchausen": 0.9, "replay.first_priority": "highest"},
    "adamw": {"learner.optimizer": "adamw"},
    # As in BBF (Schwarzer et al. 2023), and of the heads alone (Nikishin et al. 2022).
    "resets": {"learner.reset_period": 40_000, "learner.reset_shrink": 0.5},
    "head-resets": {"learner.reset_period": 40_000, "learner.reset_shrink": 1.0},
    # As in BTR (Clark et al. 2024), but for its noisy layers.
    "impala": {
        "network.torso": "impala",
        "network.torso_width": 2,
        "network.torso_pool": 6,
        "network.spectral_norm": True,
    },
    "frozen-context": {"network.context": "frozen"},
    "c51": {"network.head": "c51", "learner.loss": "squared", "learner.value_rms": 0.0},
    "hl-gauss": {"network.head": "hl-gauss", "learner.loss": "squared", "learner.value_rms": 0.0},
    "quantile": {"network.head": "quantile", "learner.loss": "huber", "learner.value_rms": 0.0},
    "n1": {"replay.n_step": 1},
    "n3": {"replay.n_step": 3},
    "n5": {"replay.n_step": 5},
    "unroll-40": {"replay.unroll": 40},
    "unroll-80": {"replay.unroll": 80},
    "unroll-160": {"replay.unroll": 160},
}
