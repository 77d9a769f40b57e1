"""Headers that drip, or come by the byte: the deadline ends the wait."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from ceylon.errors import ModelProtocolError, ModelTimeoutError
from ceylon.models.http import HttpClient
from ceylon.models.resolve import resolve
from ceylon.testing.http_server import Connection, ServerThread
from support.models import question

pytestmark = pytest.mark.anyio

SOON = 0.1


@contextmanager
def dripping(start: bytes, drip: bytes, pause: float) -> Iterator[str]:
    """Serve *start*, then *drip* for ever with so many seconds between; yield the address."""

    async def handle(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(start)
        while True:
            await connection.write(drip)
            await anyio.sleep(pause)

    with ServerThread(handle) as thread:
        yield f"{thread.url}/v1"


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nx-slow: ", b"y"),
        (b"HTTP/1.1 200 OK\r\n", b"x-slow: 1\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status", "name", "value", "lines", "continue"],
)
async def test_headers_that_drip_meet_the_deadline(
    client: HttpClient, start: bytes, drip: bytes, *, is_stream: bool
) -> None:
    expected = (ModelTimeoutError, ModelProtocolError) if drip == b"H" else ModelTimeoutError
    with dripping(start, drip, 0.02) as url:
        session = await resolve("openai::m", base_url=url).open(client)
        request = question(timeout=SOON)
        began = anyio.current_time()
        with pytest.raises(expected):
            if is_stream:
                async for _ in session.stream(request):
                    pass
            else:
                await session.complete(request)
        assert anyio.current_time() - began < SOON + 60  # and not for ever
