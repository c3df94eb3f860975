"""The one place where a game meets a chat model: prompts out, replies in.

``ChatProtocol`` says what is written and how a reply is read; ``ChatEnv`` plays a whole reply as
one step. Trainers, evaluators and adapters use these two, so that a game is prompted and read the
same way everywhere.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from text_envs.env import checked_penalty
from text_envs.game import PRINTABLE
from text_envs.spaces import TextSpace

FORMATS: dict[str, tuple[str, ...]] = {
    "answer": ("answer",),
    "think": ("think", "answer"),
    "observe": ("observation", "think", "answer"),
    "predict": ("think", "prediction", "answer"),
    "world": ("observation", "think", "prediction", "answer"),
}
"""The sections of a well-formed reply, in order. After RAGEN (think) and VAGEN (the last three)."""

_PLACEHOLDERS = {
    "observation": "what you see now",
    "think": "your reasoning",
    "prediction": "what you will see after your moves",
}
_SYSTEM_FIELDS = {"rules": "", "answer_format": ""}
_USER_FIELDS = {"turn": 1, "turns": 1, "moves": 1, "observation": "", "legal_actions": ""}
MAX_REPLY = 65_536
MAX_NUMBER = 64
MAX_LISTED = 65_536
"""Room in the observation space for a number and a list of legal moves that the user template asks
for.
"""


class Budget(NamedTuple):
    """What is left of an episode before a turn."""

    turns: int
    actions: int


@dataclass(frozen=True)
class Reply:
    """A reply, read."""

    actions: tuple[str, ...]
    """Moves to play, as written (the game judges them). Empty where there is no single answer
    section, or where it overlaps another.
    """
    sections: dict[str, str]
    """Section name -> its text, for every section that occurs exactly once."""
    spans: dict[str, tuple[int, int]]
    """Section name -> (start, end) of its text in the reply, in characters, tags excluded."""
    well_formed: bool
    """Exactly the sections of the format, in order, with at least one move and no more than
    allowed.
    """


@dataclass(frozen=True)
class ChatProtocol:
    """How a game is told to a chat model and how its replies are read.

    Raises ``ValueError`` for a format, a limit or a tag that can't work.
    """

    format: str = "think"
    """``answer``, ``think``, ``observe``, ``predict`` or ``world``: the sections of a reply."""
    action_separator: str = "||"
    """Between two moves of one answer."""
    max_actions_per_turn: int = 5
    """Moves played from one reply; more than these make it ill-formed and are not played."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Section -> tag name, where it should differ: some tokenizers reserve ``<think>``."""
    rules: str | None = None
    """Told instead of ``env.unwrapped.rules``; needed where an environment has none."""
    system_template: str = "{rules}\n\n{answer_format}"
    """System message. May be empty: then there is none."""
    user_template: str = "Turn {turn} of {turns}. Moves left: {moves}.\n{observation}"
    """User message of a turn."""

    def __post_init__(self) -> None:
        if self.format not in list(FORMATS):
            raise ValueError(f"format={self.format!r} is not one of {', '.join(FORMATS)}")
        if not isinstance(self.max_actions_per_turn, int) or self.max_actions_per_turn < 1:
            raise ValueError(
                f"max_actions_per_turn={self.max_actions_per_turn!r} must be a whole number of at"
                " least 1"
            )
        if not isinstance(self.action_separator, str) or not self.action_separator.strip():
            raise ValueError(
                f"action_separator={self.action_separator!r} must be a text, not empty or blank"
            )
        if not isinstance(self.tags, Mapping):
            raise ValueError(f"tags={self.tags!r:.200} must be a dict: section -> tag name")
        unknown = sorted(set(self.tags) - set(FORMATS["world"]), key=str)
        if unknown:
            raise ValueError(
                f"tags name unknown sections {unknown}; known: {', '.join(FORMATS['world'])}"
            )
        names = [self.tag(s) for s in self.sections]
        plain = all(isinstance(name, str) and name.isidentifier() for name in names)
        if not plain or len(set(names)) < len(names):
            raise ValueError(f"tags must be different plain names, these are {names}")
        for name, template, known in (
            ("system_template", self.system_template, _SYSTEM_FIELDS),
            ("user_template", self.user_template, _USER_FIELDS),
        ):
            try:
                template.format(**known)
            except (KeyError, IndexError, ValueError, AttributeError) as error:
                raise ValueError(
                    f"{name}={template!r:.200} can't be filled in ({error!r});"
                    f" it may have {', '.join(f'{{{field}}}' for field in known)}"
                ) from error

    @property
    def sections(self) -> tuple[str, ...]:
        """Sections of a well-formed reply, in order."""
        return FORMATS[self.format]

    def tag(self, section: str) -> str:
        """Tag name of a section."""
        return self.tags.get(section, section)

    # --- out ---

    @property
    def answer_format(self) -> str:
        """The instruction that says how to reply."""
        moves = f"move 1 {self.action_separator} move 2"
        shape = self.write({s: _PLACEHOLDERS.get(s, moves) for s in self.sections})
        many = (
            f"with one to {self.max_actions_per_turn} moves separated by {self.action_separator}"
            if self.max_actions_per_turn > 1
            else "with one move"
        )
        return f"Reply in exactly this form, {many}:\n{shape}"

    def system(self, env: gym.Env[Any, Any]) -> str:
        """System message: the rules of ``env`` and the form of an answer; ``""`` for none."""
        rules = self.rules if self.rules is not None else getattr(env.unwrapped, "rules", None)
        if rules is None and "{rules}" in self.system_template:
            raise ValueError(
                f"{env.unwrapped} has no attribute 'rules': give the protocol its own,"
                " rules='...' (starpo: --rules)"
            )
        return self.system_template.format(rules=rules, answer_format=self.answer_format).strip()

    def user(self, observation: Any, info: Mapping[str, Any], turn: int, budget: Budget) -> Any:
        """User message of turn ``turn`` (from 0): a string, or the observation's dict with its text
        replaced.
        """
        text = observation["text"] if isinstance(observation, Mapping) else observation
        message = self.user_template.format(
            turn=turn + (budget.turns > 0),  # after the last turn there is no next one
            turns=turn + budget.turns,
            moves=budget.actions,
            observation=text,
            legal_actions=", ".join(info.get("legal_actions") or ()),
        )
        if isinstance(observation, Mapping):
            return {**observation, "text": message}
        return message

    def write(self, sections: Mapping[str, str]) -> str:
        """Write a reply from its sections: what an oracle demonstrates."""
        return "".join(
            f"<{self.tag(s)}>{sections.get(s, '')}</{self.tag(s)}>" for s in self.sections
        )

    # --- in ---

    def parse(self, reply: str) -> Reply:
        """Read a reply. Any string at all: it never raises, in time linear in the length."""
        spans: dict[str, tuple[int, int]] = {}
        extents: list[tuple[int, int]] = []  # of the same sections, tags included
        strict, position = len(reply) <= MAX_REPLY, 0
        for section in self.sections:
            opening, closing = f"<{self.tag(section)}>", f"</{self.tag(section)}>"
            once = reply.count(opening) == 1 and reply.count(closing) == 1
            start = reply.find(opening) + len(opening)
            end = reply.find(closing)
            if not once or end < start:
                strict = False
                continue
            before, after = start - len(opening), end + len(closing)
            spans[section] = (start, end)
            extents.append((before, after))
            strict = strict and before >= position and not reply[position:before].strip()
            position = after
        strict = strict and not reply[position:].strip()
        sections = {s: reply[a:b] for s, (a, b) in spans.items()}
        nested = any(two[0] < one[1] for one, two in pairwise(sorted(extents)))
        answer = "" if nested else sections.get("answer", "")
        moves = [m.strip() for m in answer.split(self.action_separator)]
        moves = [m for m in moves if m]
        return Reply(
            actions=tuple(moves[: self.max_actions_per_turn]),
            sections=sections,
            spans=spans,
            well_formed=strict and 0 < len(moves) <= self.max_actions_per_turn,
        )


def content_blocks(message: Any) -> str | list[dict[str, Any]]:
    """Give a user message as the ``content`` of a chat message: text, or text and image blocks in
    order.
    """
    if isinstance(message, str):
        return message
    if "image" not in message:
        return message["text"]
    parts = message["text"].split("<image>", 1)
    blocks = [{"type": "text", "text": p} for p in parts]
    blocks.insert(1, {"type": "image", "image": message["image"]})
    return [b for b in blocks if b.get("text") != ""]


class ChatEnv(gym.Wrapper[Any, str, Any, str], RecordConstructorArgs):
    """One step is one turn: a whole reply goes in, the next user message comes out.

    The reply's moves are played until the game ends; their rewards are summed. An episode is
    truncated after ``max_turns`` replies or ``max_actions`` moves. A reply that is not well formed
    costs ``format_penalty``.

    ``info`` is that of the last move, with ``success`` and ``action_is_effective`` true if they
    were true for any of the turn's moves and ``action_is_valid`` if it was for all; it adds
    ``turn``, ``actions`` (the moves that were played), ``sections``, ``well_formed``; at reset also
    ``system``, the system message.

    Works on any environment whose observations and actions are text. ``protocol`` may also be a
    dict of the fields of a ``ChatProtocol``, which is what an environment spec keeps as JSON.
    """

    def __init__(
        self,
        env: gym.Env[Any, str],
        protocol: ChatProtocol | Mapping[str, Any] | None = None,
        max_turns: int = 5,
        max_actions: int = 10,
        format_penalty: float = -0.1,
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            protocol=protocol,
            max_turns=max_turns,
            max_actions=max_actions,
            format_penalty=format_penalty,
        )
        super().__init__(env)
        for name, value in (("max_turns", max_turns), ("max_actions", max_actions)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
        if isinstance(protocol, Mapping):
            protocol = ChatProtocol(**protocol)
        if not isinstance(protocol, ChatProtocol | None):
            raise ValueError(
                f"protocol={protocol!r:.200} must be a ChatProtocol or a dict of its fields, such"
                " as {'format': 'think'}"
            )
        self.protocol = protocol or ChatProtocol()
        self.max_turns, self.max_actions = max_turns, max_actions
        self.format_penalty = checked_penalty("format_penalty", format_penalty)
        self.action_space = TextSpace(MAX_REPLY, PRINTABLE)
        self.observation_space = _widened(env.observation_space, self.protocol)
        self._last: dict[str, Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode: the first user message."""
        self._observation, info = self.env.reset(seed=seed, options=options)
        self._turn = self._played = 0
        self._last = {k: v for k, v in info.items() if k != "rules"}
        info = {**info, "turn": 0, "actions": (), "sections": {}, "well_formed": True}
        info["system"] = self.protocol.system(self.env)
        return self._message(info), info

    def step(self, action: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play one reply. Raises ``gymnasium.error.InvalidAction`` for anything but a string."""
        if not isinstance(action, str):
            raise gym.error.InvalidAction(
                f"a reply is a str, this is a {type(action).__name__}: {action!r:.100}"
            )
        if self._last is None:
            raise gym.error.ResetNeeded("step() before reset()")
        reply = self.protocol.parse(action)
        total = 0.0 if reply.well_formed else self.format_penalty
        moves = reply.actions[: self.max_actions - self._played]
        played, info = [], self._last
        if not moves:  # shown once more, as a copy: the caller owns what the last turn returned
            self._observation, info = deepcopy((self._observation, info))
        flags = {
            "success": False,
            "action_is_valid": bool(reply.actions),
            "action_is_effective": False,
        }
        terminated = truncated = False
        for move in moves:
            self._observation, reward, terminated, truncated, info = self.env.step(move)
            played.append(move)
            total += float(reward)
            flags["success"] |= bool(info.get("success", False))
            flags["action_is_valid"] &= bool(info.get("action_is_valid", True))
            flags["action_is_effective"] |= bool(info.get("action_is_effective", True))
            if terminated or truncated:
                break
        self._last = info
        self._turn += 1
        self._played += len(played)
        spent = self._turn >= self.max_turns or self._played >= self.max_actions
        # an end is no cut: TimeLimit calls the last move that it allows both
        truncated = not terminated and bool(truncated or spent)
        info = {**info, **flags, "turn": self._turn, "actions": tuple(played)}
        info.update(sections=reply.sections, well_formed=reply.well_formed)
        return self._message(info), total, terminated, truncated, info

    def _message(self, info: Mapping[str, Any]) -> Any:
        budget = Budget(self.max_turns - self._turn, self.max_actions - self._played)
        return self.protocol.user(self._observation, info, self._turn, budget)


def _widened(space: spaces.Space[Any], protocol: ChatProtocol) -> spaces.Space[Any]:
    if isinstance(space, spaces.Dict) and "text" in space.spaces:
        return spaces.Dict({**space.spaces, "text": _widened(space["text"], protocol)})
    if not isinstance(space, spaces.Text):
        raise TypeError(f"ChatEnv needs text observations, this environment has {space}")
    template = protocol.user_template
    room = len(template) + template.count("{observation") * space.max_length
    room += template.count("{") * MAX_NUMBER + template.count("{legal_actions") * MAX_LISTED
    return TextSpace(room, space.character_set | PRINTABLE | frozenset(template))
