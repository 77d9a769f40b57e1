"""A small HTTP/1.1 server over raw sockets, on a thread and a loop of its own.

Raw, because a test server must be able to do what no proper one does: break off inside a chunk, lie about lengths, send
what is no HTTP at all, and see the very moment a client leaves.
"""

import argparse
import contextlib
import functools
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeAlias, cast

import anyio
import anyio.abc
import anyio.from_thread
import msgspec

__all__ = ["Connection", "Handler", "HttpRequest", "ServerThread", "announce", "run_as_process", "serve"]

_HEADERS_END: Final = b"\r\n\r\n"
_GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
_CHUNKS_END: Final = b"0\r\n\r\n"


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, whole; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """One client's connection."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def read_request(self) -> HttpRequest | None:
        """Return the next request, or nothing when the client has left."""
        while _HEADERS_END not in self._buffer:
            try:
                self._buffer += await self._stream.receive()
            except _GONE:
                return None
        head, _, rest = self._buffer.partition(_HEADERS_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        pieces, size = [rest], len(rest)
        while size < length:
            pieces.append(await self._stream.receive())
            size += len(pieces[-1])
        body = b"".join(pieces)
        self._buffer = body[length:]
        return HttpRequest(method, path, headers, body[:length])

    async def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole answer."""
        await self.write(_head(status, {**headers, "content-length": str(len(body))}) + body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the headers of an answer that comes in chunks."""
        await self.write(_head(status, {**headers, "transfer-encoding": "chunked"}))

    async def send(self, *pieces: bytes) -> None:
        """Send each piece as a chunk of its own."""
        await self.write(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece))

    async def end(self) -> None:
        """End an answer that came in chunks."""
        await self.write(_CHUNKS_END)

    async def write(self, raw: bytes) -> None:
        """Send bytes as they are."""
        await self._stream.send(raw)

    async def until_left(self) -> None:
        """Wait until the client closes the connection; what it still sends is the next request's."""
        with contextlib.suppress(*_GONE):
            while True:
                self._buffer += await self._stream.receive()

    async def aclose(self, *, reset: bool = False) -> None:
        """Close; with *reset* the client gets an RST instead of an orderly end."""
        if reset:
            raw = self._stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 – not Django's
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await anyio.aclose_forcefully(self._stream)
        await self._stream.aclose()


Handler: TypeAlias = Callable[[Connection], Awaitable[None]]


class Ending:
    """Ends a server; given out instead of a cancel scope, because an accept that is cancelled may lose a connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.has_begun = False

    def cancel(self) -> None:
        """End the server: its next client is this one, which wants nothing."""
        self.has_begun = True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port)).close()


async def serve(
    handler: Handler,
    port: int,
    *,
    task_status: anyio.abc.TaskStatus[tuple[Ending, str]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on a loopback port (0: any free one) until the ending that `task_status` gets with the URL is called."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    streams: set[anyio.abc.SocketStream] = set()
    async with listener, anyio.create_task_group() as tasks:
        bound = int(listener.extra(anyio.abc.SocketAttribute.local_port))  # noqa: S610 – not Django's
        ending = Ending(bound)
        task_status.started((ending, f"http://127.0.0.1:{bound}"))
        acceptor = cast("anyio.abc.SocketListener", listener.listeners[0])
        while True:
            stream = await acceptor.accept()
            if ending.has_begun:
                await stream.aclose()
                break
            streams.add(stream)  # now, and not in the task: one that is cancelled before its first step closes nothing
            tasks.start_soon(_serve_connection, handler, stream, streams)
        tasks.cancel_scope.cancel()
    for stream in list(streams):
        await anyio.aclose_forcefully(stream)


class ServerThread:
    """Runs `serve` on a thread of its own, as a context manager; *lifespan* is entered there around it."""

    def __init__(
        self,
        handler: Handler,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._handler, self._lifespan = handler, lifespan
        self._exits = contextlib.ExitStack()
        self._portal: anyio.from_thread.BlockingPortal | None = None
        self.url = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            self._portal = exits.enter_context(anyio.from_thread.start_blocking_portal())
            exits.enter_context(self._portal.wrap_async_context_manager(self._lifespan()))
            _, (scope, self.url) = self._portal.start_task(serve, self._handler, 0)
            exits.callback(self._portal.call, scope.cancel)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.close()
        self._portal = None

    def call(self, function: Callable[[], None]) -> None:
        """Run *function* on the server's loop, from another thread."""
        if self._portal is not None:
            self._portal.call(function)


async def _serve_connection(
    handler: Handler, stream: anyio.abc.SocketStream, streams: set[anyio.abc.SocketStream]
) -> None:
    async with stream:
        try:
            with contextlib.suppress(*_GONE):
                await handler(Connection(stream))
        finally:
            streams.discard(stream)


@functools.cache
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n"


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{_status_line(status)}{lines}\r\n".encode("latin-1")


def announce(url: str) -> None:
    """Print *url*, at once, for whoever started this process."""
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def run_as_process(
    run: Callable[[int], Awaitable[None]], description: str, port_help: str, arguments: Iterable[str] | None
) -> None:
    """Await ``run(port)`` with the port of the command line, until the process is told to end."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help=port_help)
    options = parser.parse_args(None if arguments is None else list(arguments))
    with contextlib.suppress(KeyboardInterrupt):
        anyio.run(run, options.port)
