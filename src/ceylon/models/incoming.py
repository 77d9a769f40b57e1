"""An answer on its way in: its items as they come, under one deadline, and what it means when it breaks."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Final, Generic, Protocol, Self, TypeVar

import anyio
import httpx

from ceylon.errors import ModelProtocolError, ModelTimeoutError, ModelUnavailableError
from ceylon.models.alarm import Alarm
from ceylon.models.endpoint import Endpoint
from ceylon.models.secret import redact
from ceylon.settings import Settings

__all__ = ["Incoming", "Parser", "chunks_of", "speaking"]

_Item = TypeVar("_Item")
_Item_co = TypeVar("_Item_co", covariant=True)

_QUOTED_BYTES: Final = 200
_TROUBLE: Final = (ModelProtocolError, httpx.TransportError, TimeoutError)
_DRAIN_SECONDS: Final = 0.05  # for the end of a stream whose terminal event came; then the connection is dropped


class Parser(Protocol[_Item_co]):
    """Cuts bytes into items."""

    def feed(self, chunk: bytes, /) -> Iterator[_Item_co]:
        """Yield the items that *chunk* completes."""
        ...

    def finish(self) -> Iterator[_Item_co]:
        """Yield what is left at the end."""
        ...


class Incoming(Generic[_Item]):
    """The items of one streamed answer, as they come.

    It ends in silence when the connection does, also too early: only the reader knows whether the terminal item was
    among them. `cut` is what broke the connection, if anything did.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        chunks: AsyncIterator[bytes],
        parser: Parser[_Item],
        ends: float,
        timeout: float,
        settings: Settings,
    ) -> None:
        self._endpoint, self._chunks, self._parser, self._settings = endpoint, chunks, parser, settings
        self._ends, self._timeout = ends, timeout
        self._items: Iterator[_Item] = iter(())
        self._bytes_left = settings.model_max_body
        self._gap = settings.model_first_part_timeout
        self._is_done = False
        self._alarm = Alarm()
        self.cut: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Item:
        try:
            while (item := next(self._items, None)) is None:
                if self._is_done:
                    raise StopAsyncIteration
                self._items = await self._more()
        except _TROUBLE:
            with speaking(self._endpoint, self._timeout):  # only now: entering it for every item costs as much as one
                raise
        return item

    def close(self) -> None:
        """Wait for nothing any more."""
        self._alarm.close()

    async def drain(self) -> None:
        """After the terminal item: read to the end of the answer if it is near, so that the connection is kept."""
        with anyio.move_on_after(_DRAIN_SECONDS), contextlib.suppress(httpx.TransportError, StopAsyncIteration):
            while not self._is_done:
                await anext(self._chunks)

    async def _more(self) -> Iterator[_Item]:
        """Wait for bytes until the deadline of the whole answer, no longer than a gap may be; return their items."""
        gap_ends, chunk = self._alarm.now() + self._gap, b""
        try:
            with self._alarm.begin(min(self._ends, gap_ends)) as wait:
                chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._is_done = True
            return self._parser.finish()
        except httpx.TransportError as error:
            self._is_done, self.cut = True, error
            return iter(())
        finally:
            self._alarm.end()
        if wait.cancelled_caught:
            raise ModelTimeoutError(self._endpoint.model, self._timeout if self._ends <= gap_ends else self._gap)
        self._gap = self._settings.stream_idle_timeout
        self._bytes_left -= len(chunk)
        if self._bytes_left < 0:
            sentence = f"it answered with more than {self._settings.model_max_body} bytes"
            raise ModelProtocolError(sentence)
        return self._parser.feed(chunk)


@contextlib.contextmanager
def speaking(endpoint: Endpoint, timeout: float) -> Generator[None]:
    """Translate what goes wrong on the way to *endpoint* into our errors."""
    try:
        yield
    except (ModelTimeoutError, ModelUnavailableError):
        raise
    except ModelProtocolError as error:
        sentence = redact(f"{endpoint.model} at {endpoint.address}: {error}", endpoint.key)
        raise ModelProtocolError(sentence) from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ModelUnavailableError(endpoint.model, endpoint.address, _advice(endpoint, error)) from error
    except httpx.TransportError as error:
        raise _broken(endpoint, error) from None
    except TimeoutError:
        raise ModelTimeoutError(endpoint.model, timeout) from None


def _advice(endpoint: Endpoint, error: BaseException) -> str:
    """Return what helps: a refused certificate is no server that has to be started."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"Its certificate was refused: {cause.verify_message}."
        cause = cause.__cause__ or cause.__context__
    return endpoint.advice


def _broken(endpoint: Endpoint, error: httpx.TransportError) -> ModelProtocolError | ModelUnavailableError:
    """Return what it means that the answer's headers never came; what h11 says may quote bytes of either side."""
    if isinstance(error, httpx.ProtocolError) and "disconnected" not in str(error):
        words = redact(str(error), endpoint.key, limit=_QUOTED_BYTES)
        return ModelProtocolError(f"{endpoint.model} at {endpoint.address} does not speak HTTP as it should: {words}")
    advice = "The server closed the connection before it answered; try again."
    return ModelUnavailableError(endpoint.model, endpoint.address, advice)


def chunks_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the body's bytes as they come, never decompressed."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        sentence = "an asynchronous transport answered with a blocking stream"
        raise TypeError(sentence)
    return aiter(stream)
