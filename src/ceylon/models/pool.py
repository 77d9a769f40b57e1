"""Connections kept for the next request: an httpx transport whose cost does not grow with what is in flight.

httpcore's own pool walks over every connection and every waiting request at each request (measured: 0.7 ms of CPU a
call alone, 5.6 ms with a hundred in flight); this one takes the last idle connection from a stack.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

import anyio
import httpcore
import httpx

__all__ = ["Pool"]

_MOST_CONNECTIONS: Final = 1_000  # far above any sensible concurrency: a bound, not a limit to tune
_MOST_IDLE: Final = 100  # for each origin
_IDLE_SECONDS: Final = 4.0  # below the 5 s after which llama.cpp, uvicorn and Node hang up: no race with their close
_CLOSE_SECONDS: Final = 1.0  # a close that takes longer is abandoned

_Origin = tuple[bytes, bytes, int]

_KINDS: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}
_ERRORS: Final[tuple[type[Exception], ...]] = tuple(_KINDS)
_ENDS: Final[tuple[type[Exception], ...]] = (*_KINDS, RuntimeError)  # RuntimeError: somebody still waits for a chunk


class Pool(httpx.AsyncBaseTransport):
    """Keeps idle connections by origin; belongs to the loop it is used on."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._idle: dict[_Origin, deque[httpcore.AsyncHTTPConnection]] = {}
        self._busy: set[httpcore.AsyncHTTPConnection] = set()
        self._room = anyio.Semaphore(_MOST_CONNECTIONS, fast_acquire=True)
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return its answer, headers read, body waiting."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        while True:
            await self._room.acquire()
            lease: _Lease | None = None
            try:
                lease = _Lease(self, url.origin, await self._connection(url.origin))
                answer = await lease.connection.handle_async_request(_translate(request, url))
            except BaseException as error:
                await self.take_back(lease)
                if lease is not None and lease.met_its_end(error):
                    continue  # with another connection; the server has seen nothing of the request
                if isinstance(error, _ERRORS):
                    raise _translated(error) from error
                raise
            return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, lease))

    async def aclose(self) -> None:
        """Close every connection, the busy ones too."""
        self._is_closed = True
        connections = [*self._busy, *(each for idle in self._idle.values() for each in idle)]
        self._idle.clear()
        for connection in connections:
            await _close(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Pool {len(self._busy)} busy, {sum(map(len, self._idle.values()))} idle>"

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """Return an idle connection that is still good, else a new one; it counts as busy from here on."""
        idle = self._idle.get(_key(origin))
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                self._busy.add(connection)
                return connection
            await _close(connection)
        connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls() if origin.scheme == b"https" else None, keepalive_expiry=_IDLE_SECONDS
        )
        self._busy.add(connection)
        return connection

    async def take_back(self, lease: "_Lease | None") -> None:
        """Keep the lease's connection if it can be used again, else close it."""
        self._room.release()
        if lease is None:
            return
        self._busy.discard(lease.connection)
        idle = self._idle.setdefault(_key(lease.origin), deque())
        if lease.connection.is_idle() and not self._is_closed and len(idle) < _MOST_IDLE:
            idle.append(lease.connection)
        elif not lease.connection.is_closed():
            await _close(lease.connection)

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context(trust_env=False)  # 20 ms: only who needs it pays
        return self._ssl_context


class _Lease:
    """One connection, lent for one request."""

    __slots__ = ("connection", "origin", "pool", "was_used")

    def __init__(self, pool: Pool, origin: httpcore.Origin, connection: httpcore.AsyncHTTPConnection) -> None:
        self.pool, self.origin, self.connection = pool, origin, connection
        self.was_used = connection.is_idle()  # it has carried a request before; a new one is not even connected

    def met_its_end(self, error: BaseException) -> bool:
        """Say whether *error* is a server closing a kept connection for idleness, just as it was used again.

        It closed without a byte of an answer, so it had not taken the request: any other connection may carry it.
        """
        return self.was_used and isinstance(error, httpcore.RemoteProtocolError) and self._heard_nothing()

    def _heard_nothing(self) -> bool:
        """Say whether not even a part of an answer has arrived; httpcore says the same of none and of a broken one."""
        protocol: Any = getattr(getattr(self.connection, "_connection", None), "_h11_state", None)
        return protocol is not None and str(protocol.their_state) == "SEND_RESPONSE" and not protocol.trailing_data[0]

    async def end(self) -> None:
        await self.pool.take_back(self)


class _Content:
    """A request's body, in one piece; no generator that a cancellation would leave suspended."""

    def __init__(self, body: bytes) -> None:
        self._pieces = [body] if body else []

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


class _Body(httpx.AsyncByteStream):
    """An answer's body. No generator of ours stays suspended: trio complains about those when they are collected."""

    def __init__(self, answer: httpcore.Response, lease: _Lease) -> None:
        self._answer, self._lease = answer, lease
        self._chunks = _chunks_of(answer)
        self._is_closed = False

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except _ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            await self._answer.aclose()
            await self._run_dry()
        await self._lease.end()

    async def _run_dry(self) -> None:
        """Let httpcore's nested generators end by themselves: closing the outer one leaves the inner suspended."""
        try:
            async for _ in self._chunks:
                pass
        except _ENDS:
            pass


def _chunks_of(answer: httpcore.Response) -> AsyncIterator[bytes]:
    """Return the one iterator over the body, without the generator httpcore would put around it."""
    stream = answer.stream
    if not isinstance(stream, AsyncIterable):
        sentence = "an asynchronous connection answered with a blocking stream"
        raise TypeError(sentence)
    return aiter(stream)


def _key(origin: httpcore.Origin) -> _Origin:
    return origin.scheme, origin.host, origin.port


def _translate(request: httpx.Request, url: httpcore.URL) -> httpcore.Request:
    """Return *request* in httpcore's words."""
    content = _Content(request.content)
    return httpcore.Request(
        request.method, url, headers=request.headers.raw, content=content, extensions=request.extensions
    )


def _translated(error: Exception) -> httpx.TransportError:
    """Return *error* as the kind httpx documents."""
    kind = next((kind for source, kind in _KINDS.items() if isinstance(error, source)), httpx.TransportError)
    return kind(str(error))


async def _close(connection: httpcore.AsyncHTTPConnection) -> None:
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
        await connection.aclose()
