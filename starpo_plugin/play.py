"""One episode to look at: in the terminal as it is played, or as a video afterwards."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from starpo_plugin.config import TrainConfig, parse_args
from starpo_plugin.console import visible
from starpo_plugin.trajectory import Trajectory, Turn
from text_envs.agents import OracleAgent, RandomAgent

if TYPE_CHECKING:
    from starpo_plugin.policy import Policy
    from starpo_plugin.tokens import ChatTokens

AgentName = Literal["model", "random", "oracle"]
OnTurn = Callable[[Turn], None]

NOISE = {"noise_seed": 0}
"""Reset options of the episode; a video of it draws the same luck."""


def load_player(config: TrainConfig) -> "tuple[Policy, ChatTokens]":
    """Load or make the config's model, where it is to run, and its chat template.

    Raises ``ValueError`` for a model or a device that isn't there.
    """
    from starpo_plugin.evaluate import device_of
    from starpo_plugin.policy import Policy
    from starpo_plugin.start import start_model
    from starpo_plugin.tokens import ChatTokens

    device = device_of(config)
    policy = Policy(*start_model(config)).to(device)
    return policy, ChatTokens(policy.tokenizer)


def play_model(config: TrainConfig, seed: int, on_turn: OnTurn) -> Trajectory:
    """Let the config's model play the evaluation's episode of ``seed``.

    Args:
        config: its ``model``, environment, ``eval_args`` and ``eval_temperature``.
        seed: of the level and of the sampling.
        on_turn: called with every turn as soon as it was played.

    Raises:
        ValueError: a model or an environment that can't work.
    """
    import torch  # seconds to import, and a random player needs none of it

    from starpo_plugin.rollout import Rollouts, Sampling

    policy, tokens = load_player(config)
    sampling = Sampling(config.max_reply_tokens, config.max_tokens, config.eval_temperature)
    arguments = parse_args(config.eval_args)
    rollouts = Rollouts(policy, tokens, config.episodes(), sampling, **arguments)
    generator = torch.Generator().manual_seed(seed)
    return rollouts.run([seed], 1, generator, on_turn=on_turn)[0]


def play_yardstick(
    config: TrainConfig, name: Literal["random", "oracle"], seed: int, on_turn: OnTurn
) -> Trajectory:
    """Let a yardstick play the same episode, as many moves a turn as the budget asks for.

    Raises ``ValueError`` for an oracle where the environment has none.
    """
    env = config.episodes().make(**parse_args(config.eval_args))
    if name == "oracle" and not hasattr(env.unwrapped, "solve"):
        raise ValueError(f"env {config.env!r} has no oracle (a method solve): use --agent random")
    agent: Any = OracleAgent() if name == "oracle" else RandomAgent(seed)
    moves_a_turn = min(-(-config.max_actions // config.max_turns), config.max_actions_per_turn)
    message, info = env.reset(seed=seed, options=NOISE)
    system, turns, terminated, truncated = info["system"], [], False, False
    while not (terminated or truncated):
        moves, ahead, over = [], copy.deepcopy(env.env), False
        while len(moves) < moves_a_turn and not over:
            moves.append(agent.act(ahead, message, info))
            _, _, ended, stopped, info = ahead.step(moves[-1])
            over = ended or stopped
        reply = env.protocol.write({"answer": f" {env.protocol.action_separator} ".join(moves)})
        seen = message
        message, reward, terminated, truncated, info = env.step(reply)
        turns.append(Turn((), (), (), seen, reply, float(reward), info))
        on_turn(turns[-1])
    success = any(turn.info["success"] for turn in turns)
    end = "terminated" if terminated else "truncated"
    return Trajectory(config.env, seed, 0, 0, tuple(turns), success, end, system)


class Narrator:
    """Tells a terminal of an episode, turn by turn.

    Args:
        console: where to write.
        config: how replies are read.
    """

    def __init__(self, console: Console, config: TrainConfig) -> None:
        self._console = console
        self._config = config
        self._turns = 0

    def turn(self, turn: Turn) -> None:
        """Show what was seen, thought, done and earned."""
        self._turns += 1
        self._console.print(Rule(f"turn {self._turns}", align="left", style="dim"))
        self._say(turn.observation)
        reply = self._config.protocol().parse(turn.reply)
        if reply.well_formed:
            for name, text in reply.sections.items():
                if text.strip():
                    self._say(text.strip(), name, "bold" if name == "answer" else "italic")
        else:
            self._say(turn.reply, "reply (not in the form asked for)", "red")
        played = ", ".join(turn.info["actions"]) or "nothing"
        invalid = "" if turn.info["action_is_valid"] else " (not all of it a valid move)"
        self._say(f"{played}{invalid}", "played", "cyan")
        self._say(f"{turn.reward:+.2f}", "reward", "green" if turn.reward > 0 else "yellow")

    def end(self, played: Trajectory) -> None:
        """Show where the episode ended."""
        self._console.print(Rule("end", align="left", style="dim"))
        self._say(final_observation(self._config, played))
        outcome = "success" if played.success else f"no success ({played.end})"
        moves = sum(len(turn.info["actions"]) for turn in played.turns)
        total = f"return {played.total_reward:+.2f}, moves {moves}, seed {played.seed}"
        self._say(f"{outcome}: {total}", style="bold green" if played.success else "bold yellow")

    def _say(self, text: str, label: str = "", style: str = "") -> None:
        shown = Text(visible(text), style=style)
        if label:
            shown = Text.assemble((f"{label}: ", "dim"), shown)
        self._console.print(shown, soft_wrap=True)


def final_observation(config: TrainConfig, played: Trajectory) -> str:
    """Play the replies again to see what came after the last of them."""
    env = replace(config, user_template="{observation}").episodes()
    chat = env.make(**parse_args(config.eval_args))
    message, _ = chat.reset(seed=played.seed, options=NOISE)
    for turn in played.turns:
        message, *_ = chat.step(turn.reply)
    return message


def check_video(path: str) -> None:
    """Raise ``ValueError`` where ``record`` could not write this file, whatever the episode."""
    if Path(path).suffix.lower() not in (".mp4", ".gif"):
        raise ValueError(f"--video {path} must end in .mp4 or .gif")
    if not Path(path).parent.is_dir():
        raise ValueError(f"--video {path} can't be written: there is no folder {Path(path).parent}")
    _record_turns()


def _record_turns() -> Callable[..., Path]:
    try:
        from renderers.video import record_turns
    except ImportError as error:
        raise ValueError(
            f"a video needs the render extra: pip install 'text-envs[render]' ({error})"
        ) from error
    return record_turns


def record(config: TrainConfig, played: Trajectory, path: str) -> Path:
    """Write an episode as a video: the board beside what was thought, done and earned.

    Raises:
        ValueError: for another suffix than ``.mp4`` or ``.gif``, or an environment without
            pictures.
        OSError: the file can't be written.
    """
    spec, env_args = config.episodes(), parse_args(config.eval_args)
    draws = hasattr(spec.make(**env_args).unwrapped, "picture")
    pictures: dict[str, Any] = {"tile": 64} if draws else {"render_mode": "rgb_array"}
    return _record_turns()(
        spec.make(**env_args, **pictures),
        [turn.reply for turn in played.turns],
        path,
        seed=played.seed,
        options=NOISE,
        rewards=[turn.reward for turn in played.turns],
    )
