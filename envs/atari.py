"""Atari games on ALE's C++ vector environment, under the paper's protocol or Machado's.

The only module that touches ale-py (GPL-2.0), and it does so only when a game is built: the package is an
extra. ALE's vector environment hangs, or returns wrong data, when it is misused; the guards are here and
in `envs.vector.Checked`.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvError, EnvSpec, StepResult
from r2d2.errors import how_to_install

if TYPE_CHECKING:
    from ale_py.vector_env import AtariVectorEnv

_GAMES = """
    Alien Amidar Assault Asterix Asteroids Atlantis BankHeist BattleZone BeamRider Berzerk Bowling Boxing
    Breakout Centipede ChopperCommand CrazyClimber Defender DemonAttack DoubleDunk Enduro FishingDerby
    Freeway Frostbite Gopher Gravitar Hero IceHockey Jamesbond Kangaroo Krull KungFuMaster
    MontezumaRevenge MsPacman NameThisGame Phoenix Pitfall Pong PrivateEye Qbert Riverraid RoadRunner
    Robotank Seaquest Skiing Solaris SpaceInvaders StarGunner Surround Tennis TimePilot Tutankham UpNDown
    Venture VideoPinball WizardOfWor YarsRevenge Zaxxon
"""
# Atari-57, the games of Kapturowski et al. 2019, named as in 'ALE/<name>-v5'.
ATARI_57: tuple[str, ...] = tuple(_GAMES.split())

# The console's screen, pixels (Bellemare et al. 2013): what a recorded video shows.
SCREEN = (210, 160)
# Smaller frames show nothing; frames larger than the screen's width would be enlarged (ours).
FRAME_SIZES = (8, 160)


@dataclass(frozen=True)
class AtariProtocol:
    """How a game is played: the numbers that make two published scores comparable.

    frame_skip: emulator frames a step; the observation is the pixelwise maximum of the last two.
    max_frames: emulator frames an episode may last, its no-ops not counted, rounded up to whole
        steps; reaching it truncates.
    max_noops: an episode starts with a number of no-op frames drawn uniformly from 0 .. max_noops.
    sticky: probability that the emulator repeats its previous action in a frame.
    full_action_space: all 18 joystick actions in each game (Skiing's cartridge has 9 of them).
    """

    frame_skip: int = 4
    max_frames: int = 108_000
    max_noops: int = 30
    sticky: float = 0.0
    full_action_space: bool = True

    def __post_init__(self) -> None:
        for name, low in (("frame_skip", 1), ("max_frames", 1), ("max_noops", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise EnvError(f"{name} must be an integer of at least {low} (frames), got {value!r}")
        if not isinstance(self.sticky, Real) or not 0.0 <= self.sticky < 1.0:
            raise EnvError(f"sticky must be a probability in [0, 1), got {self.sticky!r}")
        if self.full_action_space not in (True, False):
            raise EnvError(f"full_action_space must be true or false, got {self.full_action_space!r}")

    @property
    def max_episode_steps(self) -> int:
        """The frame cap in agent steps: 27,000 for the paper."""
        return -(-self.max_frames // self.frame_skip)


PROTOCOLS: dict[str, AtariProtocol] = {
    # Kapturowski et al. 2019: 30 no-ops at most, 30 minutes, all actions, raw rewards, no end at a lost life.
    "paper": AtariProtocol(),
    # Machado et al. 2018 (arXiv 1709.06009): sticky actions instead of no-ops, all actions, no end at a lost
    # life, five minutes = 18,000 frames (as Bellemare et al. 2013). Their DQN repeated an action for 5
    # frames; 4 here, as in the rest of the field.
    "machado": AtariProtocol(max_frames=18_000, max_noops=0, sticky=0.25),
}


def atari_protocol(name: str, options: dict[str, Any]) -> AtariProtocol:
    """Looks a protocol up by name and replaces the fields named in `options`."""
    if name not in PROTOCOLS:
        raise EnvError(f"protocol must be one of {sorted(PROTOCOLS)}, got {name!r}")
    fields = [field.name for field in dataclasses.fields(AtariProtocol)]
    for key in options:
        if key not in fields:
            close = get_close_matches(key, fields, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise EnvError(f"options of an Atari game must be 'flicker' or among {fields}, got {key!r}{hint}")
    return dataclasses.replace(PROTOCOLS[name], **options)


def rom_name(env_id: str) -> str:
    """Turns 'ALE/MsPacman-v5' into the name of its ROM, 'ms_pacman'."""
    try:
        import ale_py
    except ImportError as error:
        raise EnvError(f"{env_id} needs ale-py, which is not installed: {how_to_install('atari')}") from error
    gym.register_envs(ale_py)
    known = {key: spec for key, spec in gym.registry.items() if key.startswith("ALE/")}
    if env_id not in known or known[env_id].kwargs.get("obs_type") == "ram":
        close = get_close_matches(env_id, known, n=3)
        raise EnvError(
            f"env_id must be an ALE game that shows its screen, such as 'ALE/Pong-v5', got {env_id!r}; "
            f"close names: {close or 'none'}"
        )
    return str(known[env_id].kwargs["game"])


class AtariVector:
    """N copies of one game in C++ threads; about 2,300 steps per second and core.

    Gray frames are reduced with an area filter. `reset` reloads the cartridge in each slot to seed it, about
    0.1 s each; the automatic restart of an episode takes 5 ms. `threads=0` lets ALE choose; the number of
    threads never changes results. It must be used in the process that built it: a fork has none of its threads.
    When a game ends, its final frame still shows the previous observation, as in gymnasium's
    AtariPreprocessing (nothing is bootstrapped from it); at the frame cap the final frame is right.
    `rgb=True` gives color frames of the whole screen instead, for videos.
    """

    def __init__(
        self, env_id: str, num_envs: int, *, protocol: AtariProtocol, frame_size: int, threads: int, rgb: bool
    ) -> None:
        low, high = FRAME_SIZES
        if not low <= frame_size <= high:
            raise EnvError(
                f"frame_size must be in [{low}, {high}] pixels, got {frame_size}; the paper has 84"
            )
        height, width = SCREEN if rgb else (frame_size, frame_size)
        self._env: AtariVectorEnv | None = _build(env_id, num_envs, protocol, (height, width), threads, rgb)
        self._process = os.getpid()
        self._lives = np.zeros(num_envs, dtype=np.int32)  # [N] before the coming step
        self._slots = np.arange(num_envs)
        self.num_envs = num_envs
        shape = (height, width, 3) if rgb else (height, width)
        self.spec = EnvSpec(
            id=env_id,
            parts=parts_of(Box(0, 255, shape, np.uint8), env_id),
            num_actions=len(self._env.ale.get_action_set()),
            max_episode_steps=protocol.max_episode_steps,
        )
        self._steps: NDArray[np.int64]  # [N] in the running episode
        self._done: NDArray[np.bool_]  # [N] whether the coming step restarts the slot
        self._cut: NDArray[np.bool_]  # [N] the same, by the frame cap alone
        self._start_counting()

    def reset(self, seed: int) -> NDArray[np.uint8]:
        """Restarts every game, slot i from seed + i; returns [N, *observation_shape]."""
        observation, info = self._same_process().reset(seed=seed)
        self._lives = info["lives"]
        self._start_counting()
        return self._frames(observation)

    def step(self, action: NDArray[np.int64]) -> StepResult:
        """Plays frame_skip frames in every slot; the actions must be valid, or ALE never answers."""
        env, cut = self._same_process(), self._cut
        observation, reward, terminated, _, info = env.step(np.where(cut, 0, action))
        if (
            cut.any()
        ):  # ALE does not know that these episodes are over: restart them, continue the random streams
            goes_on = np.full(np.count_nonzero(cut), -1)
            observation, info = env.reset(seed=goes_on, options={"reset_mask": cut})
            reward, terminated = np.where(cut, 0, reward), terminated & ~cut
        if not np.array_equal(info["env_id"], self._slots):
            raise RuntimeError(f"ALE returned slots {info['env_id']} out of order in {self.spec.id}")
        lives = info["lives"]
        life_lost = (lives < self._lives) & ~self._done
        self._steps = np.where(self._done, 0, self._steps + 1)
        self._cut = (self._steps == self.spec.max_episode_steps) & ~terminated
        self._lives, self._done = lives, terminated | self._cut
        return StepResult(
            self._frames(observation), reward.astype(np.float32), terminated, self._cut.copy(), life_lost
        )

    def close(self) -> None:
        """Drops the emulators and their threads (ALE's own close does nothing)."""
        self._env = None

    def _start_counting(self) -> None:
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        self._cut = np.zeros(self.num_envs, dtype=np.bool_)

    def _frames(self, observation: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Drops the stack axis of length 1: a view, and ALE never writes to it again."""
        return observation.reshape(self.num_envs, *self.spec.observation_shape)

    def _same_process(self) -> AtariVectorEnv:
        if self._env is None:
            raise RuntimeError(f"{self.spec.id} is closed; make a new environment")
        if os.getpid() != self._process:
            raise RuntimeError(
                f"{self.spec.id} was built in process {self._process} and is used in {os.getpid()}, where "
                "its threads do not exist; build it in the worker, or start workers with 'spawn'"
            )
        return self._env


class AtariSingle:
    """One game that can be recorded: its observations are those of a slot of `AtariVector`, bit for bit.

    ALE's vector environment cannot render, so a second emulator with the same seed plays along in color.
    The two are compared at every step.
    """

    num_envs = 1

    def __init__(self, env_id: str, *, protocol: AtariProtocol, frame_size: int) -> None:
        self._env = AtariVector(env_id, 1, protocol=protocol, frame_size=frame_size, threads=1, rgb=False)
        self._film = AtariVector(env_id, 1, protocol=protocol, frame_size=frame_size, threads=1, rgb=True)
        self._frame: NDArray[np.uint8] | None = None
        self.spec = self._env.spec

    def reset(self, seed: int) -> NDArray[np.uint8]:
        """Restarts the game; returns [1, *observation_shape]."""
        self._frame = self._film.reset(seed)[0]
        return self._env.reset(seed)

    def step(self, action: NDArray[np.int64]) -> StepResult:
        """Plays frame_skip frames in both emulators."""
        result, film = self._env.step(action), self._film.step(action)
        same = all(np.array_equal(a, b) for a, b in zip(result[1:], film[1:], strict=True))
        if not same:
            raise RuntimeError(f"the filmed game of {self.spec.id} left the played one; report this as a bug")
        self._frame = film.observation[0]
        return result

    def rgb_frame(self) -> NDArray[np.uint8]:
        """The screen after the last step, maximum of its last two frames, [210, 160, 3]."""
        if self._frame is None:
            raise RuntimeError(f"rgb_frame was called before reset in {self.spec.id}; call reset(seed) first")
        return self._frame

    def close(self) -> None:
        """Drops both emulators."""
        self._env.close()
        self._film.close()


def _build(
    env_id: str, num_envs: int, protocol: AtariProtocol, size: tuple[int, int], threads: int, rgb: bool
) -> AtariVectorEnv:
    """Constructs ALE's vector environment and sets every option whose default would be wrong here."""
    game = rom_name(env_id)
    from ale_py.vector_env import AtariVectorEnv
    from gymnasium.vector import AutoresetMode

    return AtariVectorEnv(
        game,
        num_envs,
        num_threads=threads,
        # The cap is ours: at its own, ALE leaves an older frame in the final observation.
        max_num_frames_per_episode=10**9,
        repeat_action_probability=protocol.sticky,
        full_action_space=protocol.full_action_space,
        autoreset_mode=AutoresetMode.NEXT_STEP,  # in SAME_STEP, final_obs holds uninitialized memory
        img_height=size[0],
        img_width=size[1],
        grayscale=not rgb,
        stack_num=1,  # frames are stacked when they are read
        frameskip=protocol.frame_skip,
        maxpool=True,
        noop_max=protocol.max_noops + 1,  # ALE draws from 0 .. noop_max - 1
        episodic_life=False,  # it restarts the whole game at each life
        life_loss_info=False,
        reward_clipping=False,
        use_fire_reset=False,
    )
