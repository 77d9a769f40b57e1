"""A certificate nobody vouches for is refused; one the caller vouches for is not."""

import contextlib
import functools
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import ModelUnavailableError
from ceylon.models.connection import Connection
from ceylon.models.http import HttpClient
from ceylon.models.pool import Pool
from ceylon.models.resolve import resolve
from support.llm import impatient
from support.models import question

pytestmark = pytest.mark.anyio

CERTIFICATES = Path(__file__).parent.parent / "support"  # each with its own key, which opens nothing else
CERTIFICATE = CERTIFICATES / "self_signed.pem"  # for 127.0.0.1
EXPIRED = CERTIFICATES / "expired.pem"  # likewise, in the year 2000
OTHER_HOST = CERTIFICATES / "other_host.pem"  # for another name
BODY = b'{"choices":[{"message":{"content":"safe"},"finish_reason":"stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def serve_one(listener: socket.socket, certificate: Path = CERTIFICATE) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with contextlib.suppress(OSError):
        plain, _ = listener.accept()
        with plain, context.wrap_socket(plain, server_side=True) as stream:
            while not stream.recv(65_536).endswith(b"}"):
                continue  # what is closed unread resets the connection
            stream.sendall(ANSWER)


@contextlib.contextmanager
def served(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Let *serve* have the listening socket in a thread of its own; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts
        thread.join()


@pytest.fixture
def url() -> Iterator[str]:
    with served(serve_one) as url:
        yield url


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


@pytest.mark.parametrize(
    ("certificate", "words"), [(EXPIRED, "certificate has expired"), (OTHER_HOST, "mismatch|not valid for")]
)
@pytest.mark.parametrize("trust", [True, False])
async def test_an_expired_certificate_and_one_of_another_host_are_refused_whoever_vouches_for_them(
    certificate: Path,
    words: str,
    trust: bool,  # noqa: FBT001 – a parameter
    anyio_backend: str,
    connection: type[Connection],
) -> None:
    trusting = ssl.create_default_context(cafile=certificate if trust else None)
    with served(functools.partial(serve_one, certificate=certificate)) as url:
        async with HttpClient(transport=Pool(trusting, connection=connection)) as client:
            session = await resolve("openai::m", base_url=url).open(client)
            with pytest.raises(ModelUnavailableError, match="certificate was refused") as refused:
                await session.complete(question())

    assert re.search(words if trust else "self.signed|unable to get local issuer|expired", str(refused.value))


class Lost:
    """Reads as much of each handshake as *reads* says, then is gone: reset, or closed in order; counts who came."""

    def __init__(self, reads: int, *, resets: bool) -> None:
        self.reads, self.resets, self.came = reads, resets, 0

    def __call__(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                self.came += 1
                with plain:
                    if self.reads:
                        plain.recv(self.reads)
                    if self.resets:
                        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("resets", [True, False])
@pytest.mark.parametrize("reads", [0, 1, 65_536])
async def test_a_connection_lost_in_the_handshake_is_a_server_that_is_not_there(
    client: HttpClient,
    reads: int,
    resets: bool,  # noqa: FBT001 – a parameter
) -> None:
    lost = Lost(reads, resets=resets)
    with served(lost) as url:
        session = await resolve("openai::m", base_url=url).open(client)
        with pytest.raises(ModelUnavailableError):
            await session.complete(question())


@pytest.mark.parametrize("certificate", [CERTIFICATE, EXPIRED, OTHER_HOST])
async def test_no_refused_certificate_is_tried_again(certificate: Path, anyio_backend: str) -> None:
    came = 0

    def serve(listener: socket.socket) -> None:
        nonlocal came
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                came += 1
                with plain, contextlib.suppress(OSError):
                    context.wrap_socket(plain, server_side=True).close()

    with served(serve) as url:
        async with Mesh(settings=impatient()) as mesh:
            agent = LlmAgent("tutor", "openai::m", base_url=url, api_key="sk-none")
            mesh.add(agent)
            with pytest.raises(ModelUnavailableError, match="certificate"):
                await agent.send_message_async("hi")

    assert came == 1
