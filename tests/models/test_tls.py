"""A certificate nobody vouches for is refused; one the caller vouches for is not."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ceylon.errors import ModelUnavailableError
from ceylon.models.connection import Connection
from ceylon.models.http import HttpClient
from ceylon.models.pool import Pool
from ceylon.models.resolve import resolve
from support.models import question

pytestmark = pytest.mark.anyio

CERTIFICATE = Path(__file__).parent.parent / "support" / "self_signed.pem"  # for 127.0.0.1; its key opens nothing
BODY = b'{"choices":[{"message":{"content":"safe"},"finish_reason":"stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def serve_one(listener: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with contextlib.suppress(OSError):
        plain, _ = listener.accept()
        with plain, context.wrap_socket(plain, server_side=True) as stream:
            while not stream.recv(65_536).endswith(b"}"):
                continue  # what is closed unread resets the connection
            stream.sendall(ANSWER)


@pytest.fixture
def url() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one, args=[listener])
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join()


async def test_a_self_signed_certificate_is_refused(client: HttpClient, url: str) -> None:
    session = await resolve("openai::m", base_url=url).open(client)

    with pytest.raises(ModelUnavailableError, match=r"certificate was refused: self.signed"):
        await session.complete(question())


async def test_a_certificate_the_caller_vouches_for_is_taken(
    url: str, anyio_backend: str, connection: type[Connection]
) -> None:
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    async with HttpClient(transport=Pool(trusting, connection=connection)) as client:
        session = await resolve("openai::m", base_url=url).open(client)

        assert (await session.complete(question())).text == "safe"
