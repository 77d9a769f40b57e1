"""What a pool keeps: a connection that carries one request at a time; here httpcore's, spoken to with httpx's words."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, NamedTuple, Protocol, Self

import anyio
import httpcore
import httpx

__all__ = ["CLOSE_SECONDS", "IDLE_SECONDS", "Answer", "Chunks", "Connection", "Origin", "SteadyConnection"]

IDLE_SECONDS: Final = 4.0
"""Below the 5 s after which llama.cpp, uvicorn and Node hang up: no race with their close."""
CLOSE_SECONDS: Final = 1.0
"""A close that takes longer is abandoned."""

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


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: bytes
    host: bytes
    port: int


class Chunks(Protocol):
    """An answer's body as it comes. No generator stays suspended: trio complains about those when collected."""

    async def __anext__(self) -> bytes:
        """Return the next bytes; raises `httpx.TransportError` when the body breaks off."""
        ...

    async def aclose(self) -> None:
        """Take no more, whoever is cancelled; the connection is idle then if the body was read to its end."""
        ...


class Answer(NamedTuple):
    """The head of an answer, and its body to come."""

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: Chunks


class Connection(Protocol):
    """Connects with its first request; what goes wrong is a `httpx.TransportError`."""

    def __init__(self, origin: Origin, ssl_context: ssl.SSLContext | None) -> None: ...

    async def send(self, request: httpx.Request) -> Answer:
        """Send *request*; return its answer when the headers are there."""
        ...

    def met_its_end(self) -> bool:
        """Say whether `send` failed because the server closed a connection for idleness just as it was used again.

        It closed without a byte of an answer, so it had not taken the request: any other connection may carry it.
        """
        ...

    @property
    def is_idle(self) -> bool:
        """Whether it has carried a request and can carry another."""
        ...

    def has_expired(self) -> bool:
        """Say whether an idle connection has been so for too long, or has been closed by the server."""
        ...

    async def aclose(self) -> None:
        """Close; also under a request."""
        ...


class SteadyConnection:
    """httpcore's connection, with h11: all there is in the plain install."""

    def __init__(self, origin: Origin, ssl_context: ssl.SSLContext | None) -> None:
        self._origin = httpcore.Origin(*origin)
        self._inner = httpcore.AsyncHTTPConnection(self._origin, ssl_context=ssl_context, keepalive_expiry=IDLE_SECONDS)
        self._was_used = False
        self._error: Exception | None = None

    async def send(self, request: httpx.Request) -> Answer:
        """See `Connection`."""
        self._was_used = self._inner.is_idle()  # a new one is not even connected
        try:
            answer = await self._inner.handle_async_request(self._translate(request))
        except _ERRORS as error:
            self._error = error
            raise _translated(error) from error
        return Answer(answer.status, answer.headers, _SteadyChunks(answer))

    def met_its_end(self) -> bool:
        """See `Connection`."""
        return self._was_used and isinstance(self._error, httpcore.RemoteProtocolError) and self._heard_nothing()

    def _heard_nothing(self) -> bool:
        """Say whether not even a part of an answer has arrived; httpcore says the same of none and of a broken one."""
        protocol: Any = getattr(getattr(self._inner, "_connection", None), "_h11_state", None)
        return protocol is not None and str(protocol.their_state) == "SEND_RESPONSE" and not protocol.trailing_data[0]

    @property
    def is_idle(self) -> bool:
        """See `Connection`."""
        return self._inner.is_idle()

    def has_expired(self) -> bool:
        """See `Connection`."""
        return self._inner.has_expired()

    async def aclose(self) -> None:
        """See `Connection`."""
        if not self._inner.is_closed():
            await self._inner.aclose()

    def _translate(self, request: httpx.Request) -> httpcore.Request:
        """Return *request* in httpcore's words."""
        scheme, host, port = self._origin.scheme, self._origin.host, self._origin.port
        url = httpcore.URL(scheme=scheme, host=host, port=port, target=request.url.raw_path)
        content = _Content(request.content)
        return httpcore.Request(
            request.method, url, headers=request.headers.raw, content=content, extensions=request.extensions
        )


class _Content:
    """A request's body, in one piece; no generator that a cancellation would leave suspended."""

    def __init__(self, body: bytes) -> None:
        self._pieces = [body] if body else []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


class _SteadyChunks:
    """httpcore's body; its nested generators have to be brought to an end."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer
        self._chunks = _chunks_of(answer)

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except _ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_SECONDS):
            await self._answer.aclose()
            await self._run_dry()

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


def _translated(error: Exception) -> httpx.TransportError:
    """Return *error* as the kind httpx documents."""
    kind = next((kind for source, kind in _KINDS.items() if isinstance(error, source)), httpx.TransportError)
    return kind(str(error))
