"""The names of actions."""

from __future__ import annotations


def action_names(env_id: str, count: int) -> list[str]:
    """The positions of an Atari joystick if a game has all of them, else numbers.

    >>> action_names("CartPole-v1", 2)
    ['0', '1']
    """
    if env_id.startswith("ALE/"):
        from ale_py import Action

        known = [action.name.lower() for action in sorted(Action.__members__.values(), key=lambda a: a.value)]
        if len(known) == count:
            return known
    return [str(number) for number in range(count)]
