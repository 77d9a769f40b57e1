"""Both kinds of connection read the same answers the same way; what they keep is in step with the server."""

import importlib.util
from typing import NamedTuple

import httpx
import pytest

from ceylon.errors import ModelError
from ceylon.models.connection import Connection, Origin
from ceylon.models.endpoint import Endpoint
from ceylon.models.http import HttpClient
from ceylon.models.pool import Pool
from ceylon.testing.model_server import Fault, ModelServer

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
QUESTION = b'{"model":"test-model","messages":[{"role":"user","content":"hi"}]}'


class Case(NamedTuple):
    """An odd answer, and what becomes of it: its body, or the kind of error."""

    raw: bytes
    outcome: bytes | str
    is_kept: bool = True


CASES = {
    "a length": Case(OK + b"content-length: 2\r\n\r\n{}", b"{}"),
    "no body": Case(b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "chunks": Case(OK + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}"),
    "chunks with extensions": Case(OK + b"transfer-encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n", b"{}"),
    "blanks after a chunk's size": Case(OK + b"transfer-encoding: chunked\r\n\r\n2  \r\n{}\r\n0\r\n\r\n", b"{}"),
    "trailers": Case(OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-late: y\r\n\r\n", b"{}"),
    "bare line feeds": Case(b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}", b"{}"),
    "no reason": Case(b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n{}", b"{}"),
    "a length beside chunks": Case(
        OK + b"content-length: 7\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"{}"
    ),
    "announcements": Case(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" + OK + b"content-length: 2\r\n\r\n{}",
        b"{}",
    ),
    "latin letters": Case(OK + b"x-name: caf\xe9\r\ncontent-length: 2\r\n\r\n{}", b"{}"),
    "a close": Case(OK + b"connection: close\r\ncontent-length: 2\r\n\r\n{}", b"{}", is_kept=False),
    "an old version": Case(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"{}", is_kept=False),
    "a switch of protocols": Case(
        b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", "ModelProtocolError", is_kept=False
    ),
    "two lengths": Case(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", "ModelProtocolError", is_kept=False),
    "a name with a blank": Case(OK + b"x y: z\r\ncontent-length: 2\r\n\r\n{}", "ModelProtocolError", is_kept=False),
    "a chunk that is none": Case(
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n", "IncompleteStreamError", is_kept=False
    ),
}


async def outcome_of(client: HttpClient, server: ModelServer) -> bytes | str:
    """Return the body that a question gets, or the name of the error."""
    endpoint = Endpoint(model="openai::test-model", base_url=server.openai_url, advice="")
    try:
        return await client.post_json(endpoint, "/chat/completions", QUESTION, timeout=20)
    except ModelError as error:
        return type(error).__name__


async def has_answer(client: HttpClient, server: ModelServer) -> bool:
    """Say whether the next question gets its own answer."""
    outcome = await outcome_of(client, server)
    return isinstance(outcome, bytes) and b"echo: hi" in outcome


@pytest.mark.parametrize("name", CASES)
async def test_an_odd_answer_is_read_alike_and_leaves_a_connection_that_works(
    client: HttpClient, server: ModelServer, name: str
) -> None:
    case = CASES[name]
    server.fail(Fault(raw=case.raw, ends_cleanly=True))

    assert await outcome_of(client, server) == case.outcome

    assert await has_answer(client, server)
    assert server.connections == (1 if case.is_kept else 2)


async def test_an_answer_without_a_measure_ends_with_the_connection(client: HttpClient, server: ModelServer) -> None:
    server.fail(Fault(raw=OK + b"\r\n{} "))

    assert await outcome_of(client, server) == b"{} "

    assert await has_answer(client, server)


@pytest.mark.parametrize("surplus", [b"x", OK + b"content-length: 4\r\n\r\nevil", b"\r\n\r\n\0"])
async def test_what_follows_an_answer_unasked_is_never_the_next_answer(server: ModelServer, surplus: bytes) -> None:
    quick = quick_connection()
    async with HttpClient(transport=Pool(connection=quick)) as client:
        server.fail(Fault(raw=OK + b"content-length: 2\r\n\r\n{}" + surplus, ends_cleanly=True))

        assert await outcome_of(client, server) == b"{}"
        assert await has_answer(client, server)

    assert server.connections == 2


@pytest.mark.parametrize("forged", [{"x": "a\r\ny: b"}, {"x\r\ny": "a"}, {"x": "a\0"}])
async def test_a_header_cannot_end_its_line(
    server: ModelServer, connection: type[Connection], forged: dict[str, str]
) -> None:
    async with Pool(connection=connection) as pool:
        with pytest.raises(httpx.LocalProtocolError):
            await pool.handle_async_request(httpx.Request("GET", server.base_url, headers=forged))

        assert repr(pool) == "<Pool 0 busy, 0 idle>"
    assert server.requests == []


async def test_a_pool_takes_the_quick_connection_where_its_parser_is_installed() -> None:
    kind = Pool()._kind  # noqa: SLF001 – nothing else shows it

    expected = "QuickConnection" if importlib.util.find_spec("httptools") else "SteadyConnection"
    assert kind.__name__ == expected


async def test_a_connection_that_never_connected_is_not_idle(connection: type[Connection]) -> None:
    fresh = connection(Origin(b"http", b"127.0.0.1", 1), None)

    assert not fresh.is_idle
    assert not fresh.met_its_end()
    await fresh.aclose()


def quick_connection() -> type[Connection]:
    """Return the connection of the extra `speed`, or skip."""
    pytest.importorskip("httptools")
    from ceylon.models.quick import QuickConnection  # noqa: PLC0415 – there with the extra only

    return QuickConnection
