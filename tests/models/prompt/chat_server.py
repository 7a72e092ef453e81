"""A server of the tests that speaks the chat completions of OpenAI's interface, faults included."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ChatServer:
    """Answers each request with what ``reply`` makes of it.

    A reply is the text of the answer, a whole response as a dict, or a function that writes to the
    handler.
    """

    address: str = ""
    reply: Callable[[dict[str, Any]], Any] = lambda _asked: judged()
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def judged(
    label: str = "none", probability: Any = 0.02, quotes: tuple[str, ...] = (), **more: Any
) -> str:
    return json.dumps(
        {"label": label, "probability": probability, "rationale": "So.", "quotes": [*quotes]} | more
    )


def completion(content: Any, tokens: int | None = 100, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content} | more,
                "finish_reason": "stop",
            }
        ],
    }
    if tokens is not None:
        made["usage"] = {
            "prompt_tokens": tokens - 10,
            "completion_tokens": 10,
            "total_tokens": tokens,
        }
    return made


def raw(status: int, body: bytes = b"", **headers: str) -> Callable[[Any], None]:
    """A response of any kind; its length is that of its body unless a header says otherwise."""

    def write(handler: Any) -> None:
        handler.send_response(status)
        told = {"content-length": str(len(body)), "connection": "close"}
        for name, value in (told | {k.replace("_", "-"): v for k, v in headers.items()}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return write


def dripping(body: bytes, seconds: float, head: bytes | None = None) -> Callable[[Any], None]:
    """A response a byte at a time; its headers, too, if they are given."""

    def write(handler: Any) -> None:
        start = head
        if start is None:
            start = b""
            handler.send_response(200)
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
        for byte in start + body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(seconds)

    return write


@contextlib.contextmanager
def chat_server() -> Iterator[ChatServer]:
    made = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.requests.append(asked)
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            made.paths.append(self.path)
            reply = made.reply(asked)
            with contextlib.suppress(OSError):
                if callable(reply):
                    reply(self)
                    return
                whole = reply if isinstance(reply, dict) else completion(reply)
                raw(200, json.dumps(whole).encode(), content_type="application/json")(self)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
