"""Connections kept for the next request: an httpx transport whose cost does not grow with what is in flight.

httpcore's own pool walks over every connection and every waiting request at each request (measured: 0.7 ms of CPU a
call alone, 5.6 ms with a hundred in flight); this one takes the last idle connection from a stack.
"""

import ssl
from collections import deque
from collections.abc import Awaitable
from types import TracebackType
from typing import Final, Self

import anyio
import httpx

from ceylon.models.connection import CLOSE_SECONDS, Answer, Connection, Origin, SteadyConnection

try:
    from ceylon.models.quick import QuickConnection
except (ImportError, AttributeError):  # without the extra `speed`, or with a httptools older than it asks for
    QuickConnection = SteadyConnection  # type: ignore[assignment,misc]

__all__ = ["Pool"]

_MOST_CONNECTIONS: Final = 1_000  # far above any sensible concurrency: a bound, not a limit to tune
_MOST_IDLE: Final = 100  # for each origin
_PORTS: Final = {b"http": 80, b"https": 443}


class Pool(httpx.AsyncBaseTransport):
    """Keeps idle connections by origin; belongs to the loop it is used on.

    Args:
        ssl_context: What certificates are checked by; by default httpx's, without the environment.
        connection: The kind of connection; by default the quick one if the extra `speed` is installed.
    """

    def __init__(
        self, ssl_context: ssl.SSLContext | None = None, *, connection: type[Connection] = QuickConnection
    ) -> None:
        self._ssl_context, self._kind = ssl_context, connection
        self._idle: dict[Origin, deque[Connection]] = {}
        self._busy: set[Connection] = set()
        self._room = anyio.Semaphore(_MOST_CONNECTIONS, fast_acquire=True)
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return its answer, headers read, body waiting."""
        origin = _origin_of(request.url)
        while True:
            await self._room.acquire()
            connection: Connection | None = None
            try:
                connection = await self._connection(origin)
                answer = await connection.send(request)
            except BaseException:
                await self.take_back(origin, connection)
                if connection is not None and connection.met_its_end():
                    continue  # with another connection; the server has seen nothing of the request
                raise
            body = _Body(self, origin, connection, answer)
            return httpx.Response(answer.status, headers=answer.headers, stream=body)

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

    async def _connection(self, origin: Origin) -> Connection:
        """Return an idle connection that is still good, else a new one; it counts as busy from here on."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                self._busy.add(connection)
                return connection
            await _close(connection)
        connection = self._kind(origin, self._tls() if origin.scheme == b"https" else None)
        self._busy.add(connection)
        return connection

    async def take_back(self, origin: Origin, connection: Connection | None) -> None:
        """Keep the connection if it can be used again, else close it; its request has ended."""
        self._room.release()
        if connection is None:
            return
        self._busy.discard(connection)
        idle = self._idle.setdefault(origin, deque())
        if connection.is_idle and not self._is_closed and len(idle) < _MOST_IDLE:
            idle.append(connection)
        else:
            await _close(connection)

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context(trust_env=False)  # 20 ms: only who needs it pays
        return self._ssl_context


class _Body(httpx.AsyncByteStream):
    """An answer's body; with its end the connection goes back."""

    def __init__(self, pool: Pool, origin: Origin, connection: Connection, answer: Answer) -> None:
        self._pool, self._origin, self._connection = pool, origin, connection
        self._chunks = answer.chunks
        self._is_closed = False

    def __aiter__(self) -> "_Body":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._chunks.__anext__()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._chunks.aclose()
        finally:  # a task's own cancellation, by which a mesh ends a handler, breaks through shields
            await self._pool.take_back(self._origin, self._connection)


def _origin_of(url: httpx.URL) -> Origin:
    scheme = url.raw_scheme
    return Origin(scheme, url.raw_host, url.port or _PORTS.get(scheme, 0))


async def _close(connection: Connection) -> None:
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_SECONDS):
        await connection.aclose()
