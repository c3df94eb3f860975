"""A small OpenAI-compatible server on a port of its own, which can be told to fail."""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]
Answerer = Callable[[Request], dict[str, Any]]
Fault = Callable[["Handler"], None]


def completion(
    text: Any, finish: str | None = "stop", tokens: int = 10, **message: Any
) -> dict[str, Any]:
    """The body of a chat completion."""
    message = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens},
    }


# --- what can go wrong ---


def status(code: int, body: str | bytes | dict = "", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(code, body, named)


def garbage(body: str | bytes | dict) -> Fault:
    return status(200, body)


def hang(handler: "Handler") -> None:
    """Say nothing until the server is closed."""
    handler.server.closing.wait(20)
    handler.close_connection = True


def dribble(handler: "Handler") -> None:
    """Send a byte now and then: never idle, never done."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b" ")


def drop(handler: "Handler") -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def cut(handler: "Handler") -> None:
    """Break off in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "CompletionsServer"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        sent = self.rfile.read(length)
        if len(sent) < length:  # who asks was stopped between the head and the body
            self.close_connection = True
            return
        body = json.loads(sent)
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.seen.append(Seen(self.path, dict(self.headers), time.monotonic()))
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
        try:
            self.server.gather()
            fault = self.server.fault(number)
            if fault is not None:
                return fault(self)
            if self.path != "/v1/chat/completions":
                return self.answer(404, {"error": {"message": f"no {self.path} here"}})
            return self.answer(200, self.server.answerer(body))
        except (BrokenPipeError, ConnectionResetError):  # who asked has gone
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def answer(self, code: int, body: str | bytes | dict, headers: dict | None = None) -> None:
        content = json.dumps(body) if isinstance(body, dict) else body
        content = content.encode() if isinstance(content, str) else content
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    time: float = field(compare=False)


class CompletionsServer(ThreadingHTTPServer):
    """Serves ``POST /v1/chat/completions`` while it is open (``with``).

    Args:
        answerer: makes the body of an answer from a request.
        faults: number of a request -> what goes wrong with it.
        always: goes wrong with every request that ``faults`` doesn't name.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        answerer: Answerer,
        faults: dict[int, Fault] | Sequence[Fault] = (),
        always: Fault | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answerer, self.always = answerer, always
        self.faults = dict(faults if isinstance(faults, dict) else enumerate(faults))
        self.requests: list[Request] = []
        self.seen: list[Seen] = []
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.under_way = self.most = self.wait_for = 0
        self.dies_at: int | None = None
        """Number of the first request that finds the server gone, and its port closed."""
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def gather(self) -> None:
        """Wait until ``wait_for`` requests have been under way at once."""
        end = time.monotonic() + 20
        while self.most < self.wait_for and time.monotonic() < end:
            time.sleep(0.002)

    def fault(self, number: int) -> Fault | None:
        if self.dies_at is not None and number >= self.dies_at:
            self.socket.close()
            return drop
        return self.faults.get(number, self.always)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def __enter__(self) -> "CompletionsServer":
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
