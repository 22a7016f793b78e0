"""Which values of a config go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig

if TYPE_CHECKING:
    from r2d2.config.config import Config


def check_combinations(config: Config) -> None:
    """Raise ValueError for the first two values that do not go together, naming both and the remedy."""
    r, c, n = config.replay, config.learner, config.network
    if r.alpha_steps and r.selector not in ("proportional", "rank"):
        raise ValueError(
            f"replay.alpha_steps={r.alpha_steps} needs replay.selector proportional or rank, whose alpha it "
            f"changes, got {r.selector}: leave it 0"
        )
    if r.long_term == 1.0:
        raise ValueError("replay.long_term must be below 1: for nothing else use --replay.remover reservoir")
    if r.demonstrations:
        _check_demonstrations(config)
    if config.actor.repeat_exponent:
        _check_repeats(config)
    _check_resets(config)
    if c.graphs and c.learning_rate_end != 1.0:
        raise ValueError(
            "learner.learning_rate_end must be 1 with learner.graphs, which keep the rate they began with"
        )
    if c.munchausen and r.first_priority == "actor":
        raise ValueError(
            "learner.munchausen needs replay.first_priority highest: the actor does not record what its bonus is "
            "made of; add +munchausen to the preset, or --replay.first-priority highest"
        )
    if c.normalize_td_errors and r.first_priority == "actor":
        raise ValueError(
            "learner.normalize_td_errors needs replay.first_priority highest: the actor does not know the scale of "
            "TD errors; add +td-normalization to the preset, or --replay.first-priority highest"
        )
    if c.scales_td_errors and c.gradient_accumulation_steps > 1:
        raise ValueError(
            f"learner.gradient_accumulation_steps must be 1 with {_scaling(c)}, got "
            f"{c.gradient_accumulation_steps}: a standard deviation needs the errors of the whole batch"
        )
    if c.value_rms:
        _check_value_scale(config)
    if n.value_low >= n.value_high:
        raise ValueError(
            f"network.value_low must be below network.value_high={n.value_high}, got {n.value_low}"
        )
    if n.head in ("c51", "hl-gauss", "quantile"):
        _check_distributional(config)
    of_impala = ("torso_width", "torso_pool", "torso_norm", "spectral_norm")
    changed = [name for name in of_impala if getattr(n, name) != getattr(NetworkConfig(), name)]
    if changed and n.torso != "impala":
        raise ValueError(f"network.{changed[0]} needs network.torso impala, got {n.torso}: leave it as it is")
    if n.context == "frozen":
        _check_frozen_context(config)
    if c.target_clip and c.discount == 1.0:
        raise ValueError("learner.target_clip needs a learner.discount below 1: without it there is no bound")
    if c.method != "q_learning":
        _check_policy_method(config)


def _check_repeats(config: Config) -> None:
    exponent = config.actor.repeat_exponent
    if exponent <= 1.0:
        raise ValueError(
            f"actor.repeat_exponent must be 0 or above 1, got {exponent}: no other has a distribution"
        )
    if config.learner.method != "q_learning":
        raise ValueError(
            f"actor.repeat_exponent must be 0 with learner.method {config.learner.method}, got {exponent}: random "
            "actions of vectors are not repeated"
        )
    if config.learner.records_behavior:
        raise ValueError(
            f"actor.repeat_exponent must be 0 with learner.target {config.learner.target}, got {exponent}: the "
            "probability of a repeated action is not recorded"
        )


def _check_resets(config: Config) -> None:
    r, c = config.replay, config.learner
    if c.reset_period and c.reset_shrink == 1.0 and not c.reset_heads:
        raise ValueError(
            f"learner.reset_period={c.reset_period} resets nothing with learner.reset_shrink 1 and "
            "learner.reset_heads false: lower the first, or leave the period 0"
        )
    if c.reset_states == "zero" and r.initial_state != "stored":
        raise ValueError(
            "learner.reset_states zero needs replay.initial_state stored, got "
            f"{r.initial_state}: zero states never grow old, and refreshed ones are replaced when they are trained"
        )


def _scaling(c: LearnerConfig) -> str:
    """The option that makes the scale of TD errors matter."""
    return "learner.normalize_td_errors" if c.normalize_td_errors else "learner.trust_region"


def _check_value_scale(config: Config) -> None:
    """What a scale of values cannot go with, since it has a scale of its own or learns no values."""
    n, c = config.network, config.learner
    refused = (
        (c.method != "q_learning", f"learner.method {c.method}, whose critics have no scale"),
        (c.rescaling, "learner.rescaling, which makes values small by itself"),
        (c.scales_td_errors, f"{_scaling(c)}, which measures TD errors in a scale of its own"),
        (n.head in ("c51", "hl-gauss", "quantile"), f"network.head {n.head}, which has a loss of its own"),
        (
            config.replay.priority == "lap",
            "replay.priority lap, which is of TD errors in the units of the loss",
        ),
    )
    for given, what in refused:
        if given:
            raise ValueError(f"learner.value_rms={c.value_rms:g} does not go with {what}: set it to 0")


def _check_frozen_context(config: Config) -> None:
    """What a fixed encoder, whose features are stored, cannot go with."""
    n = config.network
    refused = (
        (n.core == "none", "network.core none", "it is the context of a recurrent core"),
        (n.normalize, "network.normalize", "stored features are of observations in units that do not change"),
        (
            config.replay.hindsight != "none",
            f"replay.hindsight {config.replay.hindsight}",
            "copies have other goals than those that the stored features are of",
        ),
        (
            config.cluster.inference == "central",
            "cluster.inference central",
            "actors compute the features that they record",
        ),
    )
    for given, what, why in refused:
        if given:
            raise ValueError(f"network.context frozen does not go with {what}: {why}")


def _check_demonstrations(config: Config) -> None:
    share = config.replay.demonstration_share
    if not 0.0 < share < 1.0:
        raise ValueError(
            "replay.demonstration_share must be above 0 and below 1 with replay.demonstrations, got "
            f"{share:g}: for nothing but a dataset fill a replay with it (docs/datasets.md)"
        )
    if config.run.runtime == "cluster":
        raise ValueError(
            "replay.demonstrations needs run.runtime local or threads, got cluster: its shards are filled "
            "by actors alone, and each would hold, prioritize and save the whole dataset"
        )


def _check_distributional(config: Config) -> None:
    """Values that mean nothing for a head that has a loss of its own."""
    n, c = config.network, config.learner
    if c.method != "q_learning":
        raise ValueError(
            f"network.head {n.head} is for learner.method q_learning, got {c.method}: leave it dueling"
        )
    if n.head != "hl-gauss" and (c.target != "n-step" or c.munchausen):
        raise ValueError(
            f"network.head {n.head} needs learner.target n-step and learner.munchausen 0, with which the "
            f"distribution of a return is known, got {c.target} and {c.munchausen}: network.head hl-gauss takes "
            "any target"
        )
    if c.scales_td_errors or c.bootstrap != "target":
        raise ValueError(
            f"network.head {n.head} has a loss of its own, towards the target network's values: leave "
            f"{_scaling(c) if c.scales_td_errors else 'learner.bootstrap'} as it is"
        )
    if n.head == "quantile":
        if c.loss != "huber" or config.replay.priority == "lap":
            raise ValueError(
                "network.head quantile is trained by the quantile Huber loss: learner.loss must be huber and "
                "replay.priority mixed, since LAP is about TD errors; add +quantile to the preset"
            )
    elif c.loss != "squared" or config.replay.priority == "lap":
        raise ValueError(
            f"network.head {n.head} is trained by cross-entropy: learner.loss must be squared and replay.priority "
            "mixed, since Huber's loss and LAP, which goes with it, are of TD errors"
        )


def _check_policy_method(config: Config) -> None:
    """Values that mean something for counted actions alone."""
    c = config.learner
    if c.rescaling:
        raise ValueError(
            f"learner.rescaling must be false with learner.method {c.method}: its values are sums of rewards"
        )
    if c.target != "n-step" or c.munchausen:
        raise ValueError(
            f"learner.target must be n-step and learner.munchausen 0 with learner.method {c.method}: others are "
            "for counted actions"
        )
    if c.scales_td_errors or c.bootstrap != "target":
        raise ValueError(
            f"{_scaling(c) if c.scales_td_errors else 'learner.bootstrap online'} is for learner.method "
            f"q_learning, got {c.method}: leave it as it is"
        )
    if c.graphs and c.policy_period > 1:
        raise ValueError(
            f"learner.graphs needs learner.policy_period 1, got {c.policy_period}: a graph repeats one update"
        )
    if config.actor.exploration == "ladder":
        raise ValueError(
            f"actor.exploration must be noise or linear with learner.method {c.method}, got ladder, which is "
            "for counted actions"
        )
