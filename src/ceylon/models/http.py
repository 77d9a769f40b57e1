"""The one place that talks HTTP to model servers: one client a mesh, on the mesh's own loop.

The rules, each against something plain httpx does: no redirect is followed (the key and the body would go along); no
proxy, netrc or cookie comes from the environment; a compressed body is refused before it inflates; a total deadline
bounds each request, however slowly the bytes drip; bodies, events and their number have limits; errors carry the
server's words, redacted, and never the key. Requests go straight to an httpx transport: httpx's client, its redirects,
its cookies and its request log do not take part.

Import this module late: it loads httpx.
"""

import contextlib
import copy
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final, Self, TypeVar

import anyio
import httpx

from ceylon.errors import (
    IncompleteStreamError,
    ModelConfigError,
    ModelProtocolError,
)
from ceylon.models.endpoint import Endpoint
from ceylon.models.incoming import Incoming, Parser, chunks_of, speaking
from ceylon.models.lines import BodyParser, Event, EventParser, LineParser
from ceylon.models.pool import Pool
from ceylon.models.secret import redact
from ceylon.models.stand_ins import gates
from ceylon.models.statuses import status_error
from ceylon.settings import DEFAULTS, Settings

__all__ = ["HttpClient", "Incoming"]

_Item = TypeVar("_Item")

_MOST_URLS: Final = 256  # kept parsed; a mesh talks to a few
_ERROR_BYTES: Final = 64 * 1024  # read of an error's body; far less of it is kept
_SHOWN_BYTES: Final = 40  # of a header that is quoted
_ERROR_SECONDS: Final = 2.0  # for that: the status is known already


class HttpClient:
    """Sends requests over kept connections; create it inside the running loop, and close it there."""

    def __init__(self, settings: Settings = DEFAULTS, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.settings = settings
        self._transport = Pool() if transport is None else transport
        self._urls: dict[str, httpx.URL] = {}
        self._hear: Callable[[list[tuple[bytes, bytes]]], object] | None = None

    def seconds(self, timeout: float | None) -> float:
        """Return *timeout*, or without one what a turn may take."""
        return self.settings.model_timeout if timeout is None else timeout

    async def post_json(self, endpoint: Endpoint, path: str, body: bytes, *, timeout: float) -> bytes:
        """Send *body*, return the answer's.

        Raises:
            ModelUnavailableError: nobody answers there.
            ModelStatusError: the server says no.
            ModelTimeoutError: the whole answer did not come within *timeout* seconds.
            ModelProtocolError: an answer that breaks HTTP, or the rules above.
        """
        return await self._whole(endpoint, self._request(endpoint, "POST", path, body), timeout)

    async def get_json(self, endpoint: Endpoint, path: str, *, timeout: float) -> bytes:
        """Return the body found at *path*; raises like `post_json`."""
        return await self._whole(endpoint, self._request(endpoint, "GET", path, b""), timeout)

    def stream_lines(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout: float
    ) -> contextlib.AbstractAsyncContextManager["Incoming[bytes]"]:
        """Send *body* and open the NDJSON lines of its answer; leaving the block closes the connection."""
        most = self.settings
        parser = LineParser(max_line=most.model_max_event, max_lines=most.model_max_events)
        return self._stream(endpoint, self._request(endpoint, "POST", path, body), parser, timeout)

    def stream_events(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout: float
    ) -> contextlib.AbstractAsyncContextManager["Incoming[Event]"]:
        """Send *body* and open the server-sent events of its answer; leaving the block closes the connection.

        A server that does not stream answers with one JSON body: that is one event.
        """
        most = self.settings
        parser = EventParser(max_event=most.model_max_event, max_events=most.model_max_events)
        return self._stream(endpoint, self._request(endpoint, "POST", path, body), parser, timeout, BodyParser())

    def heard_by(self, hear: "Callable[[list[tuple[bytes, bytes]]], object]") -> "HttpClient":
        """Return the same client, over the same connections, which lets *hear* have the headers of every answer."""
        client = copy.copy(self)
        client._hear = hear  # noqa: SLF001 – the same class
        return client

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<HttpClient {self._transport!r}>"

    def _request(self, endpoint: Endpoint, method: str, path: str, body: bytes) -> httpx.Request:
        for gate in gates:
            gate(endpoint.address)
        extensions = {"timeout": {"connect": self.settings.model_connect_timeout}}
        try:
            url = self._url(endpoint.url(path))
            return httpx.Request(method, url, headers=endpoint.headers(), content=body or None, extensions=extensions)
        except (httpx.InvalidURL, UnicodeError):
            sentence = f"{endpoint.model}: {endpoint.address!r} is no address a request can go to"
            raise ModelConfigError(sentence) from None

    def _url(self, text: str) -> httpx.URL:
        """Return *text* parsed, once for all requests: httpx takes a tenth of a request for it."""
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= _MOST_URLS:
                self._urls.clear()
            url = self._urls[text] = httpx.URL(text)
        return url

    async def _whole(self, endpoint: Endpoint, request: httpx.Request, timeout: float) -> bytes:
        with speaking(endpoint, timeout), anyio.fail_after(timeout):
            response = await self._transport.handle_async_request(request)
            try:
                await self._check(endpoint, response)
                return await _read(chunks_of(response), self.settings.model_max_body)
            except httpx.TransportError as error:
                raise IncompleteStreamError(endpoint.model, "") from error
            finally:
                await response.aclose()

    @contextlib.asynccontextmanager
    async def _stream(
        self,
        endpoint: Endpoint,
        request: httpx.Request,
        parser: Parser[_Item],
        timeout: float,
        whole: Parser[_Item] | None = None,
    ) -> AsyncGenerator["Incoming[_Item]", None]:
        ends = anyio.current_time() + timeout
        wait = min(timeout, self.settings.model_first_part_timeout)
        with speaking(endpoint, wait), anyio.fail_after(wait):
            response = await self._transport.handle_async_request(request)
            try:
                await self._check(endpoint, response)
            except BaseException:
                await response.aclose()
                raise
        if response.headers.get("content-type", "").startswith("application/json"):
            parser = whole or parser
        incoming = Incoming(endpoint, chunks_of(response), parser, ends, timeout, self.settings)
        try:
            yield incoming
        finally:
            incoming.close()
            await response.aclose()

    async def _check(self, endpoint: Endpoint, response: httpx.Response) -> None:
        """Raise unless *response* says yes, in plain bytes."""
        if self._hear is not None:
            self._hear(response.headers.raw)
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            shown = redact(encoding, endpoint.key, limit=_SHOWN_BYTES)
            sentence = f"it answered with content encoding {shown!r}, which nobody asked for"
            raise ModelProtocolError(sentence)
        if not response.is_success:
            words = await _read_words(chunks_of(response), _ERROR_BYTES)
            raise status_error(endpoint, response.status_code, words, response.headers)
        if response.headers.get("content-type", "").startswith("text/html"):
            sentence = "it answered with a web page; is that the address of a model server?"
            raise ModelProtocolError(sentence)


async def _read(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Return the whole body."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > most:
            sentence = f"it answered with more than {most} bytes"
            raise ModelProtocolError(sentence)
    return b"".join(pieces)


async def _read_words(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Return about the first *most* bytes of an error's body, or what came of them."""
    words = bytearray()
    with contextlib.suppress(httpx.TransportError), anyio.move_on_after(_ERROR_SECONDS):
        async for chunk in chunks:
            words += chunk
            if len(words) > most:
                break
    return bytes(words)


def _drop_details(record: logging.LogRecord) -> bool:
    """Keep httpcore's record only if it is a warning: its details print every header a server sends back."""
    return record.levelno >= logging.WARNING


for _name in ("httpcore.connection", "httpcore.http11"):
    logging.getLogger(_name).addFilter(_drop_details)
