"""How much of the conversation the policy sees when it replies.

All of it, as one sequence that grows turn by turn; or the last k turns, each turn then being a
sequence of its own. A window bounds what a long episode costs, and what is left out of it the
policy has to read off the board.
"""

from collections.abc import Sequence

from starpo_plugin.tokens import ChatTokens
from starpo_plugin.trajectory import Turn


def next_prompt(
    tokens: ChatTokens, system: str, past: Sequence[Turn], message: str, context_turns: int = 0
) -> list[int]:
    """Ids that come before the reply to ``message``.

    Args:
        tokens: the model's chat template.
        system: system message; part of every window.
        past: the episode's turns so far. Their replies are taken as sampled.
        message: of the user.
        context_turns: 0 gives what is added to the conversation; k the whole window of the last k
            turns, the one that ``message`` begins among them.
    """
    if context_turns == 0 and past:
        return tokens.next(message, _last(past[-1]))
    seen = past[max(0, len(past) + 1 - context_turns) :] if context_turns else ()
    messages = [*(turn.observation for turn in seen), message]
    ids = tokens.start(system, messages[0])
    for turn, following in zip(seen, messages[1:], strict=True):
        ids += [*turn.reply_ids, *tokens.next(following, _last(turn))]
    return ids


def _last(turn: Turn) -> int | None:
    return turn.reply_ids[-1] if turn.reply_ids else None
