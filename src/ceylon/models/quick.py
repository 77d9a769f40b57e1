"""The connection of the extra `speed`: anyio's streams and llhttp, Node's parser, in place of httpcore and h11.

Half the CPU: a request is one write, and what one read brings of a body is handed on in one piece. It runs on every
loop anyio runs on.
"""

import re
import select
import socket
import ssl
from typing import Final

import anyio
import anyio.abc
import httpx
from anyio.streams.tls import TLSStream

from ceylon.models.answer_parser import AnswerParser
from ceylon.models.connection import IDLE_SECONDS, Answer, Origin

__all__ = ["QuickConnection"]

_MOST_BYTES: Final = 64 * 1024  # of one read
_BREAKS: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError, OSError)
_NO_CONNECTION: Final = (anyio.BrokenResourceError, anyio.EndOfStream, OSError)
_is_name: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+").fullmatch
_is_value: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_is_target: Final = re.compile(rb"[\x21-\x7e]+").fullmatch


class QuickConnection:
    """A `Connection` over one anyio stream."""

    def __init__(self, origin: Origin, ssl_context: ssl.SSLContext | None) -> None:
        self._origin, self._ssl_context = origin, ssl_context
        self._stream: anyio.abc.ByteStream | None = None
        self._socket: socket.socket | None = None
        self._parser = AnswerParser()
        self._expires = 0.0
        self._was_used = self._ended_unheard = False
        self.is_idle = False

    async def send(self, request: httpx.Request) -> Answer:
        """See `Connection`."""
        written = _written(request)
        self._was_used, self.is_idle = self.is_idle, False
        stream = self._stream
        if stream is None:
            stream = await self._open(request.extensions.get("timeout", {}).get("connect"))
        parser = self._parser
        parser.begin()
        try:
            await stream.send(written)
        except anyio.BrokenResourceError:
            pass  # a server that refuses may answer before it has read all
        except _BREAKS as error:
            raise httpx.WriteError(str(error)) from error
        while not parser.has_head:
            await self.read(stream)
            if parser.fault and not parser.has_head:
                raise httpx.RemoteProtocolError(parser.fault)
        return Answer(parser.status, parser.headers, _QuickChunks(self, stream, parser))

    def met_its_end(self) -> bool:
        """See `Connection`."""
        return self._was_used and self._ended_unheard

    def has_expired(self) -> bool:
        """See `Connection`; one on which something comes, unasked, has ended or is out of step."""
        return anyio.current_time() > self._expires or self._socket is None or _is_readable(self._socket)

    async def aclose(self) -> None:
        """See `Connection`."""
        self.is_idle = False
        if self._stream is not None:
            await self._stream.aclose()

    async def read(self, stream: anyio.abc.ByteStream) -> None:
        """Feed the parser once."""
        try:
            read = await stream.receive(_MOST_BYTES)
        except anyio.EndOfStream:
            self._ended_unheard = self._parser.is_new
            self._parser.feed_end()
        except _BREAKS as error:
            raise httpx.ReadError(str(error)) from error
        else:
            self._parser.feed(read)

    def rest(self) -> None:
        """Be idle, if the answer allows it: it has been read as far as anybody wants."""
        if self._parser.can_go_on:
            self.is_idle, self._expires = True, anyio.current_time() + IDLE_SECONDS

    async def _open(self, wait: float | None) -> anyio.abc.ByteStream:
        """Connect; the handshake of TLS has as long once more, as with httpcore."""
        host = self._origin.host.decode("ascii")
        try:
            with anyio.fail_after(wait):
                plain = await anyio.connect_tcp(host, self._origin.port)
            self._socket = plain.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 – not Django's
            self._stream = plain
            if self._ssl_context is not None:
                with anyio.fail_after(wait):
                    self._stream = await _secured(plain, self._ssl_context, host)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except _NO_CONNECTION as error:
            raise httpx.ConnectError(str(error)) from error
        return self._stream


class _QuickChunks:
    """The body of the answer that a connection reads."""

    def __init__(self, connection: QuickConnection, stream: anyio.abc.ByteStream, parser: AnswerParser) -> None:
        self._connection, self._stream, self._parser = connection, stream, parser
        self._is_closed = False

    async def __anext__(self) -> bytes:
        parser = self._parser
        while not self._is_closed:
            if body := parser.take():
                return body
            if parser.fault:
                raise httpx.RemoteProtocolError(parser.fault)
            if parser.is_complete:
                break
            await self._connection.read(self._stream)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.rest()


async def _secured(plain: anyio.abc.ByteStream, context: ssl.SSLContext, host: str) -> TLSStream:
    context.set_alpn_protocols(["http/1.1"])
    return await TLSStream.wrap(plain, ssl_context=context, hostname=host, standard_compatible=False)


def _written(request: httpx.Request) -> bytes:
    """Return *request* as it goes over the wire; nothing in it may end a line before its time."""
    target = request.url.raw_path
    if not _is_target(target):
        sentence = "the address holds characters that HTTP has no room for"
        raise httpx.LocalProtocolError(sentence)
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), target)]
    for name, value in request.headers.raw:
        if not (_is_name(name) and _is_value(value)):
            sentence = f"the header {name!r} holds characters that HTTP has no room for"
            raise httpx.LocalProtocolError(sentence)
        lines.append(b"%b: %b" % (name, value))
    lines += (b"", request.content)
    return b"\r\n".join(lines)


def _is_readable(connected: socket.socket) -> bool:
    """Say whether something, or the end, has come on a socket; also of one that is closed."""
    number = connected.fileno()
    if number < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))
