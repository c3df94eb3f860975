"""Chat completions from any OpenAI-compatible server, asked patiently.

What passes (no connection, no answer in time, 408, 409, 425, 429, 5xx) is tried again, later and
later; what would not change (another status, an answer that is no chat completion) is a
``ServerError`` at once. Either way the error names the server, what it answered and what to do.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import count
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import numpy as np

from starpo_plugin.console import visible

MAX_ANSWER = 16 * 2**20
"""Bytes of an answer that are read; no reply is that long."""
SHOWN = 300
"""Characters of an answer that an error message shows."""
OWN_FIELDS = ("model", "messages", "stream", "n")
"""Of a request; what is read and written here depends on them."""
PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 that are tried again."""
REMEDIES = {
    401: "put the server's key into the environment variable that --api-key-env names",
    403: "put a key that may use this model into the environment variable that --api-key-env names",
    404: "check --server (its path mostly ends in /v1) and --server-model",
    405: "check --server: its path mostly ends in /v1",
    429: "ask it less at once (--concurrency), or go on later",
}
"""Status -> what to do about it."""

_CONTEXT_IS_FULL = re.compile(r"context.?(length|size|window)", re.IGNORECASE)


class ServerError(OSError):
    """A server that is out, refuses a request, or answers something that is no reply."""


class ContextFull(Exception):
    """The conversation is longer than what the server's model can read."""


class _Passing(Exception):
    """A failure that may pass: why, what to do if it doesn't, and the wait that was asked for."""

    def __init__(self, reason: str, remedy: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.remedy, self.wait = remedy, wait


@dataclass(frozen=True)
class Endpoint:
    """A model behind a server, and how patiently it is asked.

    Raises ``ValueError`` that names what can't work; never shows the key.
    """

    server: str
    """http://HOST:PORT, mostly with /v1; without a path, /v1 is added."""
    model: str
    """Name that the server knows the model by."""
    api_key: str = field(default="", repr=False)
    """Sent as a bearer token; empty for none."""
    timeout: float = 60.0
    """Seconds that one answer may take, from the connection to its last byte."""
    retries: int = 4
    """Further tries after a failure that may pass."""
    first_wait: float = 1.0
    """Seconds before the second try; doubled for each further one."""
    longest_wait: float = 120.0
    """Most seconds between two tries; a server that asks for more is out."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of each request, or other values of its fields; None leaves a field out."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.server)
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            whole, parts = None, urlsplit("")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "the server's URL must be no more than http://HOST:PORT/PATH: a key belongs into an"
                " environment variable (--api-key-env), other parameters into --server-args"
            )
        try:
            httpx.URL(self.url)
        except httpx.InvalidURL:
            whole = None
        if not whole:
            raise ValueError(
                f"server {self.server!r} is not of the form http://HOST:PORT or"
                " https://HOST/PATH, as in http://localhost:8000/v1"
            )
        if not self.model:
            raise ValueError(
                f"say which of the models at {self.server} is to play: --server-model NAME"
            )
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ValueError("the API key has characters that no key has: line ends, for example")
        if not self.timeout > 0:
            raise ValueError(f"timeout={self.timeout} must be above 0 seconds")
        if self.retries < 0:
            raise ValueError(f"retries={self.retries} must be at least 0")
        if own := [name for name in self.extra if name in OWN_FIELDS]:
            raise ValueError(f"--server-args can't set {', '.join(own)}")
        try:
            json.dumps(dict(self.extra), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"--server-args can't be sent as JSON: {error}") from error

    @property
    def url(self) -> str:
        """Where chat completions are asked for."""
        base = self.server.rstrip("/")
        if base.endswith("/chat/completions"):
            return base
        return base + ("" if urlsplit(base).path else "/v1") + "/chat/completions"


@dataclass(frozen=True)
class ChatReply:
    """What a server answered."""

    text: str
    reasoning: str = ""
    """What a server cuts off as the model's reasoning (``reasoning_content`` or ``reasoning``)."""
    finish: str | None = None
    """Why the reply ended, in the server's words: stop, length, ..."""
    tokens: int | None = None
    """Length of the conversation with this reply, where the server counts it."""


class ChatClient:
    """Asks one endpoint for replies; use it as an asynchronous context manager.

    Args:
        endpoint: whom to ask.
        rng: of the waits' jitter.
        connections: most that are open at once; no more requests than these may be under way.
        on_wait: told why the same is asked again.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        rng: np.random.Generator,
        connections: int = 16,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self._endpoint, self._rng, self._on_wait = endpoint, rng, on_wait
        headers = {"Content-Type": "application/json"}
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        self._http = httpx.AsyncClient(
            headers=headers,
            verify=_certificates(),
            timeout=None,  # a request has one deadline, not one for each of its steps
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def __aenter__(self) -> "ChatClient":
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def reply(self, messages: Sequence[Mapping[str, str]], **sampling: Any) -> ChatReply:
        """Ask for the next message of a conversation.

        Args:
            messages: so far, each with ``role`` and ``content``.
            **sampling: further fields of the request: ``max_tokens``, ``temperature``, ``seed``.

        Raises:
            ServerError: it can't be had.
            ContextFull: the conversation has become too long for the server's model.
        """
        end = self._endpoint
        fields = {**sampling, **end.extra, "model": end.model, "messages": list(messages)}
        body = json.dumps({k: v for k, v in fields.items() if v is not None}).encode()
        for failures in count():
            try:
                return read_reply(await self._ask(body), end.server)
            except ServerError as error:
                raise ServerError(self._without_key(str(error))) from None
            except _Passing as failure:
                if failures == end.retries or failure.wait > end.longest_wait:
                    times = f"{failures + 1} times in a row, at last" if failures else "at once"
                    raise ServerError(
                        f"server {end.server} failed {times}: {failure}; {failure.remedy}"
                    ) from None
                if self._on_wait is not None:
                    self._on_wait(f"{failure}; try {failures + 2} of {end.retries + 1}")
                await asyncio.sleep(failure.wait + self._wait(failures))
        raise AssertionError  # count() has no end

    def _wait(self, failures: int) -> float:
        """Seconds until the next try: doubled each time, and spread, so that conversations that
        failed together don't come back together.
        """
        grown = self._endpoint.first_wait * 2.0 ** min(failures, 64)
        longest = min(grown, self._endpoint.longest_wait)
        return longest * self._rng.uniform(0.5, 1.0)

    async def _ask(self, body: bytes) -> bytes:
        """Send a request once; the body of a successful answer."""
        end = self._endpoint
        try:
            async with asyncio.timeout(end.timeout):
                response, content = await self._post(body)
        except TimeoutError:
            raise _Passing(
                f"no answer within {end.timeout:g} s",
                "give it more time (--timeout) or less to do at once (--concurrency)",
            ) from None
        except httpx.DecodingError as error:
            raise ServerError(
                f"server {end.server} sent an answer that can't be decoded: {error}"
            ) from None
        except httpx.TransportError as error:
            raise _Passing(
                f"{_in_words(type(error).__name__)} ({error or 'no reason given'})",
                "check that it runs and is reached at that address",
            ) from None
        if response.is_success:
            return content
        raise self._refusal(response, content)

    async def _post(self, body: bytes) -> tuple[httpx.Response, bytes]:
        """Send a request once; whatever comes, read whole."""
        content = bytearray()
        async with self._http.stream("POST", self._endpoint.url, content=body) as response:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > MAX_ANSWER:
                    raise ServerError(
                        f"server {self._endpoint.server} answered more than {MAX_ANSWER} bytes,"
                        f" which is no chat completion; {REMEDIES[404]}"
                    )
            return response, bytes(content)

    def _refusal(self, response: httpx.Response, content: bytes) -> Exception:
        """Make the error of an answer whose status is no success."""
        end, status = self._endpoint, response.status_code
        said = self._without_key(excerpt(content))
        reason = f"status {status} {response.reason_phrase}".rstrip() + f", {said}"
        if status in PASSING or status >= 500:
            remedy = REMEDIES.get(status, "its own log says why")
            wait = seconds_to_wait(response.headers.get("Retry-After", ""), datetime.now(UTC))
            asked = f", to be asked again in {wait:g} s" if wait else ""
            return _Passing(reason + asked, remedy, wait)
        if 300 <= status < 400:
            there = visible(_shown(response.headers.get("Location", "another address")))
            return ServerError(
                f"server {end.server} sends on to {self._without_key(there)} ({reason}):"
                " give that address to --server"
            )
        if _CONTEXT_IS_FULL.search(content.decode("utf-8", "replace")):
            return ContextFull(f"server {end.server} answered {reason}")
        remedy = REMEDIES.get(status, "check --server-model, --server-args and the server's log")
        return ServerError(f"server {end.server} refuses the request: {reason}; {remedy}")

    def _without_key(self, text: str) -> str:
        key = self._endpoint.api_key
        return text.replace(key, "(the key)") if key else text


@cache
def _certificates() -> ssl.SSLContext:
    """Read the machine's certificates: a matter of 50 ms, so once a process."""
    return httpx.create_ssl_context()


# --- reading answers ---


def read_reply(content: bytes, server: str) -> ChatReply:
    """Read the body of a successful answer. Raises ``ServerError`` that says what came instead.

    Only ``content`` is what the model said: reasoning that the server cut off is kept beside it.
    Content that is null is an empty reply where there is reasoning, or the server says why the
    reply ended: SGLang answers so where a model ended its turn at once.
    """

    def wrong(what: str) -> ServerError:
        return ServerError(
            f"server {server} answered no chat completion: {what}, {excerpt(content)};"
            f" {REMEDIES[404]}"
        )

    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise wrong("this is not JSON") from None
    match answer:
        case {"choices": [{"message": dict(message), **choice}, *_]}:
            pass
        case _:
            raise wrong("it has no choices[0].message")
    text, finish = message.get("content"), choice.get("finish_reason")
    thoughts = (message.get(name) for name in ("reasoning_content", "reasoning"))
    reasoning = next((t for t in thoughts if isinstance(t, str) and t), "")
    if text is None and (reasoning or isinstance(finish, str)):
        text = ""
    if not isinstance(text, str):
        kind = "null" if text is None else f"a {type(text).__name__}"
        raise wrong(f"choices[0].message.content is {kind}, not text")
    usage = answer.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return ChatReply(
        text=_whole(text),
        reasoning=_whole(reasoning),
        finish=finish if isinstance(finish, str) else None,
        tokens=tokens if type(tokens) is int else None,
    )


def seconds_to_wait(retry_after: str, now: datetime) -> float:
    """Read a Retry-After header, seconds or a date; 0 for none or one that can't be read."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            until = parsedate_to_datetime(retry_after)
        except (ValueError, OverflowError):
            return 0.0
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
    return seconds if seconds > 0 else 0.0


def excerpt(content: bytes) -> str:
    """Say what an answer holds: its own error message, or else how it begins."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    match answer:
        case {"error": {"message": str(said)}} | {"error": str(said)} | {"message": str(said)}:
            return f"saying {_shown(said)!r}"
        case {"detail": str(said)}:
            return f"saying {_shown(said)!r}"
    text = _shown(content.decode("utf-8", "replace"))
    return f"beginning {text!r}" if text else "with an empty body"


def _shown(text: str) -> str:
    line = " ".join(text[: 4 * SHOWN].split())
    return line if len(line) <= SHOWN else line[:SHOWN] + "..."


def _whole(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, which JSON may hold and UTF-8 can't."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _in_words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
