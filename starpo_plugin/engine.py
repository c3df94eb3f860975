"""Multi-turn sampling in slots: a reply that ends leaves, and the others go on.

Conversations are asked for replies one by one, whenever they are ready, each at its own length and
turn. A step draws one token for all that are replying. Rows of the cache are kept in order, so that
a step works on the first rows alone and copies nothing::

    replying | asked, about to be read | waiting for their environment, or free

Of a conversation that is asked again only what is new is read, and of conversations with one and
the same prompt (the members of a group) a single one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from starpo_plugin.cache import cache_of
from starpo_plugin.policy import Policy
from starpo_plugin.reread import RereadingEngine
from starpo_plugin.rows import Row, common_start, ordered
from starpo_plugin.sampler import Sampled, draw

_READ_AT_ONCE = 16384
"""Tokens, padding included, that are read in one go: bounds the memory that reading takes."""
_SHARE = 8
"""Conversations are read when they are at least one of this many: a few rows cost a forward pass
almost what many do."""
_PATIENCE = 6
"""Steps after which they are read however few they are."""


class Engine(Protocol):
    """Samples replies of many conversations."""

    @property
    def busy(self) -> bool:
        """Whether a reply is being sampled or asked for."""
        ...

    @property
    def columns(self) -> int:
        """Tokens that its cache has room for, per conversation; 0 if it keeps none."""
        ...

    def ask(self, conversation: int, ids: Sequence[int], limit: int, noise: Tensor) -> None:
        """Ask for a reply.

        Args:
            conversation: any number; one reply of it at a time.
            ids: all that the policy sees before its reply.
            limit: most tokens of the reply, at least 1.
            noise: float [at least limit], uniform in [0, 1): token t is drawn with ``noise[t]``,
                so a reply depends neither on its neighbours nor on when it is sampled.
        """
        ...

    def step(self) -> list[tuple[int, Sampled]]:
        """Sample on; the replies that have ended, each with its conversation."""
        ...

    def release(self, conversation: int) -> None:
        """Forget a conversation: it is over."""
        ...


def make_engine(
    policy: Policy,
    end_ids: frozenset[int],
    pad_id: int,
    slots: int,
    longest_reply: int,
    temperature: float = 1.0,
    keep_cache: bool = True,
    columns: int = 0,
    cuda_graphs: bool = False,
) -> Engine:
    """Make the engine that suits a model.

    Args:
        policy: the model; its weights must not change while the engine is in use.
        end_ids: tokens that end a reply.
        pad_id: any valid token id.
        slots: conversations that are under way at once, at most.
        longest_reply: tokens of the longest reply that will be asked for.
        temperature: 0 takes the most likely token.
        keep_cache: whether to keep what was read from turn to turn: not every model allows it
            (``cache.keeps_slots``). ``False`` reads conversations anew: slow, and right for all.
        columns: tokens of a conversation that the cache has room for from the start. It grows by
            itself, which takes copies: an engine's ``columns`` tell what the next one needs.
        cuda_graphs: whether to decode by replaying CUDA graphs (``graphs``).

    Raises:
        ValueError: CUDA graphs for a model whose cache can't be kept.
    """
    if cuda_graphs:
        from starpo_plugin.graphs import GraphedEngine  # which is a SlotEngine

        if not keep_cache:
            raise ValueError(
                "cuda_graphs=True replays steps on a cache that is kept from turn to turn, which"
                " this model does not allow: leave cuda_graphs off"
            )
        return GraphedEngine(policy, end_ids, pad_id, slots, longest_reply, temperature, columns)
    if keep_cache:
        return SlotEngine(policy, end_ids, pad_id, slots, longest_reply, temperature, columns)
    return RereadingEngine(policy, end_ids, pad_id, temperature)


class SlotEngine:
    """Samples replies with keys and values that stay where they are from turn to turn.

    See ``make_engine`` for the arguments.
    """

    def __init__(
        self,
        policy: Policy,
        end_ids: frozenset[int],
        pad_id: int,
        slots: int,
        longest_reply: int,
        temperature: float = 1.0,
        columns: int = 0,
    ) -> None:
        self._policy, self._pad_id, self._temperature = policy, pad_id, temperature
        device = policy.device
        self._rows: list[Row | None] = [None] * slots
        self._row_of: dict[int, int] = {}
        self._replying = 0
        self._asked: list[int] = []  # conversations
        self._ended: list[int] = []  # rows that are no longer replying, among those that are
        self._cache = cache_of(policy, slots, columns)
        # of each row: the next token to be read, its position, tokens drawn, limit, place of its
        # reply in the tensors below
        self._state = torch.zeros(5, slots, dtype=torch.long, device=device)
        # and a place for what belongs nowhere
        self._noise = torch.zeros(slots + 1, longest_reply, device=device)
        self._tokens = torch.zeros(slots + 1, longest_reply, dtype=torch.long, device=device)
        single = torch.promote_types(policy.model.dtype, torch.float32)
        self._logprobs = torch.zeros(slots + 1, longest_reply, dtype=single, device=device)
        self._places = list(range(slots))  # free rows of these three
        self._place_of: dict[int, int] = {}
        vocabulary = policy.model.get_output_embeddings().weight.shape[0]
        self._ends = torch.zeros(vocabulary, dtype=torch.bool, device=device)
        self._ends[sorted(end_ids)] = True
        self.steps = 0
        """Tokens that were drawn one after another."""
        self.row_steps = 0
        """Tokens that were drawn in all."""
        self.tokens_read = 0
        """Prompt tokens that were read."""

    @property
    def busy(self) -> bool:
        """See ``Engine``."""
        return bool(self._asked) or self._replying > len(self._ended)

    @property
    def columns(self) -> int:
        """See ``Engine``."""
        return self._cache.capacity

    def ask(self, conversation: int, ids: Sequence[int], limit: int, noise: Tensor) -> None:
        """See ``Engine``. Raises ``ValueError`` if all slots are taken."""
        if conversation not in self._row_of:
            if not self._places:
                raise ValueError(f"all {len(self._rows)} slots are taken: release a conversation")
            row = next(r for r, held in enumerate(self._rows) if held is None)
            self._rows[row] = Row(conversation)
            self._row_of[conversation] = row
            self._place_of[conversation] = self._places.pop()
        row = self._of(self._row_of[conversation])
        row.ids, row.limit, row.noise, row.since = list(ids), limit, noise[:limit], self.steps
        self._asked.append(conversation)

    def release(self, conversation: int) -> None:
        """See ``Engine``."""
        if conversation in self._row_of:
            self._rows[self._row_of.pop(conversation)] = None
            self._places.append(self._place_of.pop(conversation))

    @torch.inference_mode()
    def step(self) -> list[tuple[int, Sampled]]:
        """See ``Engine``: reads who was asked, then draws one token for each that is replying."""
        asked = self._due()
        if asked or self._ended:
            self._arrange(asked)
        n = self._replying
        if not n:
            return []
        over = self._decode(n, self._furthest + self.steps + 1)
        self.steps += 1
        self.row_steps += n
        self._ended = over.nonzero()[:, 0].tolist()
        return self._collect(self._ended) if self._ended else []

    def _decode(self, rows: int, width: int, live: Tensor | None = None) -> Tensor:
        """Draw a token for each of the first rows; bool [rows], whose reply has ended by it.

        Args:
            rows: how many.
            width: columns of the cache that they look at.
            live: bool [rows], who is replying; all of them unless given. What is computed for the
                others is written to places that nothing is read from.
        """
        token, position, drawn, limit, place = self._state[:, :rows]
        hidden = self._cache.forward(token.unsqueeze(1), 0, position.unsqueeze(1), width, live)
        cell = place * self._noise.shape[1] + drawn
        if live is not None:
            cell = torch.where(live, cell, self._noise.numel() - 1)
        noise = self._noise.view(-1)[cell]
        chosen, logprob = draw(self._policy.logits(hidden[:, 0]), noise, self._temperature)
        self._tokens.view(-1)[cell] = chosen
        self._logprobs.view(-1)[cell] = logprob
        token.copy_(chosen)  # of a row that isn't live, too: it is set anew before it replies
        self._state[1:3, :rows] += 1
        return self._ends[chosen] | (drawn == limit)

    def _of(self, row: int) -> Row:
        held = self._rows[row]
        assert held is not None
        return held

    def _collect(self, rows: Sequence[int]) -> list[tuple[int, Sampled]]:
        index = torch.tensor(rows, device=self._state.device)
        counts, places = self._state[2, index], self._state[4, index]
        most = int(counts.max())
        ids = self._tokens[places, :most].tolist()
        logprobs = self._logprobs[places, :most].tolist()
        replies = []
        for row, n, i, p in zip(rows, counts.tolist(), ids, logprobs, strict=True):
            held = self._of(row)
            held.replying = False
            held.cached = [*held.ids, *i[: n - 1]]  # the last one was drawn and not yet read
            replies.append((held.conversation, Sampled(tuple(i[:n]), tuple(p[:n]))))
        return replies

    # --- who is where ---

    def _due(self) -> list[Row]:
        """Those asked, if it is time to read them."""
        asked = [self._of(self._row_of[c]) for c in self._asked]
        running = self._replying - len(self._ended)
        if asked and (len(asked) * _SHARE >= running or self.steps - asked[0].since >= _PATIENCE):
            self._asked = []
            return asked
        return []

    def _arrange(self, asked: Sequence[Row]) -> None:
        """Bring the rows that reply to the front, those asked behind them, and read these."""
        ended = set(self._ended)
        self._ended = []
        still = [r for r in range(self._replying) if r not in ended]
        leaders, twins = self._share(asked)
        others = [self._row_of[row.conversation] for row in asked if row not in leaders]
        self._move_to([still, [self._row_of[row.conversation] for row in leaders], others])
        for block in self._blocks(len(still), leaders):
            self._read(block)
        self._copy(twins)
        self._replying = len(still) + len(asked)
        self._begin(len(still), asked)

    def _share(self, asked: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, Row]]]:
        """Who is read; and who, with the same prompt and nothing read of it, has it copied."""
        leaders: dict[Any, Row] = {}
        twins = []
        for row in asked:
            kept = common_start(row.cached, row.ids[:-1])
            del row.cached[kept:]
            if len(row.ids) == kept + 1:
                continue
            key = row.conversation if kept else tuple(row.ids[:-1])
            leader = leaders.setdefault((bool(kept), key), row)
            if leader is not row:
                twins.append((leader, row))
        return list(leaders.values()), twins

    def _move_to(self, blocks: Sequence[Sequence[int]]) -> None:
        """Permute rows: each block's rows become neighbours, block after block."""
        order = ordered(len(self._rows), blocks)
        moved = [(source, target) for target, source in enumerate(order) if source != target]
        if not moved:
            return
        held = [(s, t) for s, t in moved if self._rows[s] is not None]
        lengths = [self._length(s) for s, _ in held]
        full = [pair for pair, length in zip(held, lengths, strict=True) if length]
        self._cache.move([s for s, _ in full], [t for _, t in full], max(lengths, default=0))
        if held:
            source, target = torch.tensor(held, device=self._state.device).T
            self._state[:, target] = self._state[:, source]
        self._rows = [self._rows[source] for source in order]
        self._row_of = {
            row.conversation: place for place, row in enumerate(self._rows) if row is not None
        }

    def _length(self, row: int) -> int:
        """Columns of a row that are in use."""
        held = self._of(row)
        return held.offset + self.steps if held.replying else len(held.cached)

    # --- reading prompts ---

    def _blocks(self, first: int, leaders: Sequence[Row]) -> Iterable[range]:
        """Rows from ``first`` on, as many at once as memory allows."""
        lengths = [
            len(row.ids) - 1 - len(row.cached)
            for row in self._rows[first : first + len(leaders)]
            if row is not None
        ]
        begin = widest = 0
        for end, length in enumerate(lengths):
            widest = max(widest, length)
            if end > begin and widest * (end + 1 - begin) > _READ_AT_ONCE:
                yield range(first + begin, first + end)
                begin, widest = end, length
        if lengths:
            yield range(first + begin, first + len(lengths))

    def _read(self, rows: range) -> None:
        """Read all of a prompt but its last token, which the next step reads."""
        held = [self._of(r) for r in rows]
        chunks = [row.ids[len(row.cached) : -1] for row in held]
        width = max(len(c) for c in chunks)
        device = self._state.device
        ids = torch.tensor([c + [self._pad_id] * (width - len(c)) for c in chunks], device=device)
        start = torch.tensor([len(row.cached) for row in held], device=device)
        positions = start.unsqueeze(1) + torch.arange(width, device=device)
        furthest = max(len(row.cached) for row in held) + width
        self._cache.forward(ids, rows.start, positions, furthest)
        self.tokens_read += sum(len(c) for c in chunks)
        for row in held:
            row.cached = row.ids[:-1]

    def _copy(self, twins: Sequence[tuple[Row, Row]]) -> None:
        pairs = [tuple(self._row_of[row.conversation] for row in twin) for twin in twins]
        width = max((len(leader.cached) for leader, _ in twins), default=0)
        self._cache.move([s for s, _ in pairs], [t for _, t in pairs], width)
        for leader, row in twins:
            row.cached = list(leader.cached)

    def _begin(self, first: int, asked: Sequence[Row]) -> None:
        """Let those asked reply, from row ``first`` on."""
        rows = [self._of(r) for r in range(self._replying)]
        if asked:
            new = rows[first:]
            device = self._state.device
            places = [self._place_of[row.conversation] for row in new]
            state = [
                (row.ids[-1], len(row.ids) - 1, 0, row.limit, place)
                for row, place in zip(new, places, strict=True)
            ]
            self._state[:, first : self._replying] = torch.tensor(state, device=device).T
            noise = torch.zeros(len(new), self._noise.shape[1])
            for k, row in enumerate(new):
                if row.noise is not None:
                    noise[k, : row.limit] = row.noise
                row.offset = len(row.ids) - 1 - self.steps
                row.replying = True
            self._noise[places] = noise.to(device)
        self._furthest = max((row.offset for row in rows), default=0)
