"""The model server of the benchmark: a process of its own that answers at once, or after a while.

It speaks OpenAI's chat completions and Ollama's own API; `benchmarks.model_answers` says what it answers. Only the
standard library is used, nothing is recorded and answers are kept as bytes, so that it is never what a measurement
waits for. `ceylon.testing.model_server` is the one for tests: it holds and breaks answers, and takes its time for that.

    with serving("--latency", "0.05") as url:
        client.post(f"{url}/v1/chat/completions", json=...)
        assert counts(url)["requests"] == 1
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from benchmarks.model_answers import answer, form_of

__all__ = ["counts", "serving"]

_COUNTS_PATH: Final = "/counts"
_ROOT: Final = Path(__file__).resolve().parent.parent
_BACKLOG: Final = 2_048  # connections that hundreds of callers open at the same moment
_LOOK_SECONDS: Final = 1.0
_MISSING: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


@contextlib.contextmanager
def serving(*options: str) -> Iterator[str]:
    """Run the server with *options*; give its URL."""
    command = [sys.executable, "-m", "benchmarks.model_server", *options]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 – our own
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def counts(url: str) -> dict[str, Any]:
    """Return what the server at *url* has seen: `requests` for answers, `connections`, and its `cpu_seconds`."""
    with urllib.request.urlopen(url + _COUNTS_PATH) as response:  # noqa: S310 – our own server
        return cast("dict[str, Any]", json.load(response))


class _Server:
    """What all connections share: the answers made so far, and the counts."""

    def __init__(self, latency: float, pace: float) -> None:
        self.latency, self.pace = latency, pace
        self.requests = self.connections = 0
        self._answers: dict[tuple[Any, ...], tuple[bytes, ...]] = {}

    def answer(self, path: bytes, body: bytes) -> tuple[bytes, ...]:
        """Return the response to a question in its pieces; all in one where no pace is kept."""
        self.requests += 1
        form = form_of(path, body)
        if form is None:
            return (_MISSING,)
        if form.key not in self._answers:
            pieces = answer(form)
            self._answers[form.key] = pieces if self.pace else (b"".join(pieces),)
        return self._answers[form.key]

    def counts(self) -> bytes:
        """Return the response that tells the counts."""
        counts = {"requests": self.requests, "connections": self.connections, "cpu_seconds": time.process_time()}
        body = json.dumps(counts).encode()
        return b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class _Connection(asyncio.Protocol):
    """One client's connection: reads one question at a time and writes its answer."""

    def __init__(self, server: _Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each question that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, begin = self._buffer[:end], end + 4
            length = _length_of(head)
            if len(self._buffer) < begin + length:
                return
            body, self._buffer = self._buffer[begin : begin + length], self._buffer[begin + length :]
            self._reply(head.split(b" ", 2)[1], body)

    def _reply(self, path: bytes, body: bytes) -> None:
        if path == _COUNTS_PATH.encode():
            self._server.connections -= 1  # the benchmark's own
            self._transport.write(self._server.counts())
            self._transport.close()
            return
        pieces = self._server.answer(path, body)
        if self._server.latency:
            self._loop.call_later(self._server.latency, self._send, pieces, 0)
        else:
            self._send(pieces, 0)

    def _send(self, pieces: tuple[bytes, ...], number: int) -> None:
        """Write one piece, and the next when its time has come."""
        if self._transport.is_closing():
            return
        self._transport.write(pieces[number])
        if number + 1 < len(pieces):
            self._loop.call_later(self._server.pace, self._send, pieces, number + 1)


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def _serve(server: _Server) -> None:
    """Serve on a free port for as long as the process that started this one lives."""
    parent = os.getppid()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(server, loop), "127.0.0.1", 0, backlog=_BACKLOG)
    port = listener.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    while os.getppid() == parent:  # noqa: ASYNC110 – no event tells of it
        await asyncio.sleep(_LOOK_SECONDS)
    listener.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description="A model server without a model, for benchmarks.")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer begins")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds from one streamed token to the next")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_Server(options.latency, options.pace)))


if __name__ == "__main__":
    _main()
