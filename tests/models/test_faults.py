"""Whatever a server does wrong is a typed error, in every dialect, streamed or not; the next question is answered."""

import gzip
import itertools
import logging
import socket
import time
import zlib
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import msgspec
import pytest

from ceylon.errors import (
    IncompleteStreamError,
    ModelAuthError,
    ModelError,
    ModelNotFoundError,
    ModelProtocolError,
    ModelRateLimitError,
    ModelStatusError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from ceylon.models.connection import Connection
from ceylon.models.http import HttpClient
from ceylon.models.pool import Pool
from ceylon.models.port import Session
from ceylon.settings import DEFAULTS
from ceylon.testing.every_dialect import key_of
from ceylon.testing.model_server import Fault, ModelServer
from support.dialects import answer_pieces, dialect
from support.models import Caller, question

pytestmark = pytest.mark.anyio

KEY = "sk-canary-4711"
SOON = 0.2


async def assert_answers(caller: Caller) -> None:
    """Assert that nothing is left of what went wrong before."""
    assert (await caller.ask("again")).text == "echo: again"


async def failure_of(caller: Caller, fault: Fault, *, timeout: float = 30.0) -> ModelError:
    """Return what asking raises under *fault*; the next question must be answered."""
    caller.server.fail(fault)
    with pytest.raises(ModelError) as caught:
        await caller.ask(timeout=timeout)
    await assert_answers(caller)
    return caught.value


def body_of(caller: Caller, text: str = "one two three") -> bytes:
    """Return the bytes of a good answer."""
    return b"".join(answer_pieces(caller.dialect, text, is_streamed=caller.is_streamed))


def end_of(caller: Caller, body: bytes) -> int:
    """Return where in *body* an answer begins to be whole."""
    return body.index(dialect(caller.dialect).end[0]) if caller.is_streamed else len(body)


# -- statuses


async def test_a_refusal_is_typed_and_carries_status_and_words(caller: Caller) -> None:
    for status in (400, 404, 413, 422, 500, 502, 503, 504, 529):
        error = await failure_of(caller, Fault(status=status))

        assert type(error) is ModelStatusError
        assert (error.status, error.body) == (status, "it broke")
        assert error.model == f"{caller.dialect}::test-model"


async def test_a_refused_key_is_an_auth_error(caller: Caller) -> None:
    for status in (401, 403):
        assert isinstance(await failure_of(caller, Fault(status=status)), ModelAuthError)


async def test_a_rate_limit_carries_what_the_server_asked_for(caller: Caller) -> None:
    error = await failure_of(caller, Fault(status=429, headers={"retry-after": "7"}))

    assert isinstance(error, ModelRateLimitError)
    assert error.retry_after == 7


async def test_an_unknown_model_is_answered_with_the_known_ones(caller: Caller) -> None:
    with pytest.raises(ModelNotFoundError, match="'tset-model'") as caught:
        await caller.ask(model="tset-model")

    assert caught.value.available == ("test-model",)
    assert (caller.dialect != "ollama") != ("`ollama pull tset-model`" in str(caught.value))


async def test_an_endless_refusal_is_cut_and_still_a_refusal(caller: Caller) -> None:
    error = await failure_of(caller, Fault(status=500, endless=b"no! " * 1_000))

    assert isinstance(error, ModelStatusError)
    assert len(error.body.encode()) <= 2048


async def test_the_callers_key_in_an_error_is_redacted(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    body = msgspec.json.encode({"error": {"message": f"bad key {KEY}, Authorization: Bearer {KEY}"}})

    with caplog.at_level(logging.DEBUG):
        for fault in (
            Fault(status=401, body=body),
            Fault(status=400, body=f"<p>{KEY}</p>".encode()),
            Fault(body=f'{{"broken {KEY}'.encode()),
            Fault(body=body),
            Fault(pieces=(dialect(caller.dialect).piece(body),)),
            Fault(raw=f"{KEY} is what you sent".encode()),
            Fault(headers={"set-cookie": f"key={KEY}", "content-encoding": KEY}),
        ):
            error = await failure_of(caller, fault)
            assert KEY not in f"{error} {error!r} {vars(error)} {error.__cause__!r}"

    assert KEY not in caplog.text


# -- connections


async def test_nobody_there_says_where_and_both_ways_out(client: HttpClient, caller: Caller) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gone = caller._replace(server=Elsewhere(f"http://127.0.0.1:{port}"))

    with pytest.raises(ModelUnavailableError, match=f"127.0.0.1:{port}.*local::smollm2") as caught:
        await gone.ask()

    if caller.dialect == "ollama":
        assert "`ollama serve`" in str(caught.value)
        assert "`ollama pull test-model`" in str(caught.value)


class Elsewhere(ModelServer):
    """A server that is not there."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    @property
    def base_url(self) -> str:
        return self._url


@pytest.mark.parametrize(
    "fault",
    [Fault(reset=True), Fault(raw=b""), Fault(raw=b"HTTP/1.1 200 OK\r\ncontent-ty")],
    ids=["reset", "closed", "closed in the headers"],
)
async def test_a_connection_lost_before_the_answer_is_unavailable(caller: Caller, fault: Fault) -> None:
    assert isinstance(await failure_of(caller, fault), ModelUnavailableError)


async def test_what_is_no_http_is_a_protocol_error(caller: Caller) -> None:
    for raw in (
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46" * 9 + b"\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
    ):
        assert isinstance(await failure_of(caller, Fault(raw=raw)), ModelProtocolError)


async def test_headers_without_end_are_refused(caller: Caller) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + b"x-filler: y\r\n" * 20_000

    assert isinstance(await failure_of(caller, Fault(raw=raw)), ModelError)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 5_000,
        b"HTTP/1.1 200 OK\r\nx-filler: " + b"y" * 200_000 + b"\r\n\r\n{}",
    ],
    ids=["continue", "hints", "a long header"],
)
async def test_what_comes_before_an_answer_is_bounded(caller: Caller, raw: bytes) -> None:
    assert isinstance(await failure_of(caller, Fault(raw=raw)), ModelError)


async def test_five_hundred_at_once_all_end_and_leave_no_connection_busy(server: ModelServer) -> None:
    ended: list[str] = []
    async with HttpClient() as client:
        asker = Caller("openai", is_streamed=False, client=client, server=server)

        async def ask(number: int) -> None:
            if number % 5 == 0:
                server.fail(Fault(reset=True))
            try:
                ended.append((await asker.ask(str(number))).text)
            except ModelUnavailableError:
                ended.append("unavailable")

        async with anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(ask, number)
        assert len(ended) == 500
        assert "0 busy" in repr(client)


async def test_a_server_that_speaks_no_tls_is_unavailable(caller: Caller, connection: type[Connection]) -> None:
    plain = Elsewhere(caller.server.base_url.replace("http:", "https:"))
    settings = msgspec.structs.replace(DEFAULTS, model_connect_timeout=SOON)

    async with HttpClient(settings, transport=Pool(connection=connection)) as hasty:
        with pytest.raises(ModelUnavailableError):
            await caller._replace(server=plain, client=hasty).ask()


# -- answers that break off


async def test_an_answer_cut_anywhere_is_incomplete_and_never_whole(caller: Caller) -> None:
    ends = end_of(caller, body_of(caller, "echo: one two three"))
    for place, fault in itertools.product(range(0, ends, max(7, ends // 60)), ({}, {"reset": True})):
        caller.server.fail(Fault(cut_at=place, **fault))  # type: ignore[arg-type]
        with pytest.raises(IncompleteStreamError) as caught:
            await caller.ask("one two three")
        assert "echo: one two three".startswith(caught.value.text)
    await assert_answers(caller)


async def test_a_stream_that_ends_cleanly_but_early_is_incomplete(caller: Caller) -> None:
    if not caller.is_streamed:
        return  # what a length says is whole is whole
    body = body_of(caller, "echo: é é é")
    ends = end_of(caller, body)
    for place in range(0, ends, max(7, ends // 60)):
        if body[place] & 0xC0 == 0x80:
            continue  # inside of a character: see below
        caller.server.fail(Fault(cut_at=place, ends_cleanly=True))
        with pytest.raises(IncompleteStreamError):
            await caller.ask("é é é")
    await assert_answers(caller)


async def test_an_unframed_stream_that_just_ends_is_incomplete(caller: Caller) -> None:
    kind, body = dialect(caller.dialect).stream_type, body_of(caller)[:60]
    error = await failure_of(caller, Fault(raw=f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n".encode() + body))

    assert isinstance(error, IncompleteStreamError if caller.is_streamed else ModelProtocolError)


async def test_a_cut_inside_a_character_is_incomplete(caller: Caller) -> None:
    if not caller.is_streamed:
        return
    place = body_of(caller, "echo: éé").index("é".encode()) + 1

    caller.server.fail(Fault(cut_at=place, ends_cleanly=True), Fault(cut_at=place))
    for _ in range(2):
        with pytest.raises(ModelError):
            await caller.ask("éé")
    await assert_answers(caller)


# -- answers that are none


NO_ANSWERS = (
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"{",
    b"nonsense",
    b'{"choices":"no","message":"no"}',
    b'{"choices":[7],"message":7}',
    b'{"choices":[],"models":[]}',
    b"[" * 100_000,
    b'{"choices":[{"message":{"content":"\xff"}}],"message":{"content":"\xff"},"done":true}',
    b'{"choices":[{"message":{"content":"\\ud800"}}],"message":{"content":"\\ud800"},"done":true}',
    b'{"content":7,"candidates":7,"output":7}',
    b'{"content":[7],"candidates":[7],"output":[7],"type":"message","status":"completed"}',
    b'{"content":[],"candidates":[],"output":[],"type":"message","object":"response"}',
    b'{"type":"message","content":[{"type":"text","text":"\\udfff"}],"stop_reason":7}',
    b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]},"finishReason":"STOP"}]}',
)


async def test_json_of_the_wrong_shape_is_a_typed_error(caller: Caller) -> None:
    for body in NO_ANSWERS:
        error = await failure_of(caller, Fault(body=body))

        assert isinstance(error, ModelProtocolError | IncompleteStreamError), body


BAD_LINES = (b"null", b"[]", b"7", b"nonsense", b'{"a":\xff}', b'{"choices":7,"message":7,"type":7,"candidates":7}')


async def test_one_bad_line_in_a_stream_is_a_typed_error(caller: Caller) -> None:
    for line in BAD_LINES:
        if line == b"[]" and caller.dialect == "gemini":
            continue  # where Gemini does not stream, it lists its events
        error = await failure_of(caller, Fault(pieces=(dialect(caller.dialect).piece(line), body_of(caller))))

        assert isinstance(error, ModelProtocolError), line


async def test_an_error_inside_a_success_is_an_error(caller: Caller) -> None:
    error = await failure_of(caller, Fault(body=b'{"error":"out of memory"}'))

    assert isinstance(error, ModelProtocolError)
    assert "out of memory" in str(error)


async def test_an_error_in_the_middle_of_a_stream_is_an_error(caller: Caller) -> None:
    if not caller.is_streamed:
        return
    first, second, *_ = answer_pieces(caller.dialect, "one two", is_streamed=True)
    failing = dialect(caller.dialect).piece(b'{"type":"error","error":{"message":"the runner has stopped"}}')

    error = await failure_of(caller, Fault(pieces=(first, second, failing)))

    assert isinstance(error, ModelProtocolError | ModelStatusError)  # where the service names a kind of error
    assert "the runner has stopped" in str(error)


async def test_a_web_page_is_no_answer(caller: Caller) -> None:
    page = Fault(body=b"<html>Sign in</html>", headers={"content-type": "text/html; charset=utf-8"})

    error = await failure_of(caller, page)

    assert isinstance(error, ModelProtocolError)
    assert "web page" in str(error)


async def test_no_content_is_no_answer(caller: Caller) -> None:
    raw = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"

    error = await failure_of(caller, Fault(raw=raw))

    assert isinstance(error, ModelProtocolError | IncompleteStreamError)


# -- answers without end, or without measure


@pytest.mark.parametrize("drip", [b"\n", b"", b" "], ids=["newlines", "pings", "spaces"])
async def test_the_total_deadline_ends_what_drips_for_ever(caller: Caller, drip: bytes) -> None:
    drip = drip or dialect(caller.dialect).drip
    await assert_answers(caller)  # what is loaded and opened once is not to take the deadline's time
    caller.server.fail(Fault(endless=drip, pause=0.01))

    began = time.monotonic()
    with pytest.raises(ModelTimeoutError) as caught:
        await caller.ask(timeout=SOON)

    assert caught.value.timeout == SOON
    assert time.monotonic() - began < SOON + 60  # and not for ever
    await caller.server.until(lambda: caller.server.clients_left == len(caller.server.requests) - 1)
    caller.server._faults.clear()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – on a busy machine nobody took it
    await assert_answers(caller)


async def test_a_server_that_never_answers_meets_the_deadline(caller: Caller) -> None:
    await assert_answers(caller)  # as above
    caller.server.hold()

    with pytest.raises(ModelTimeoutError):
        await caller.ask(timeout=SOON)

    await caller.server.until(lambda: caller.server.clients_left == len(caller.server.requests) - 1)
    caller.server.release()
    await assert_answers(caller)


async def test_a_stream_that_stalls_meets_the_idle_limit(caller: Caller, connection: type[Connection]) -> None:
    if not caller.is_streamed:
        return
    settings = msgspec.structs.replace(DEFAULTS, stream_idle_timeout=SOON)
    async with HttpClient(settings, transport=Pool(connection=connection)) as hasty:
        caller.server.fail(Fault(hold_after=1))
        with pytest.raises(ModelTimeoutError, match=f"{SOON:g} s"):
            await caller._replace(client=hasty).ask("one two three four")
        caller.server.release()


async def small_client(connection: type[Connection]) -> AsyncIterator[HttpClient]:
    small = msgspec.structs.replace(DEFAULTS, model_max_body=64 * 1024, model_max_event=4 * 1024, model_max_events=50)
    async with HttpClient(small, transport=Pool(connection=connection)) as client:
        yield client


small = pytest.fixture(small_client)


async def test_a_body_without_measure_is_cut_at_the_limit(caller: Caller, small: HttpClient) -> None:
    modest = caller._replace(client=small)

    error = await failure_of(modest, Fault(endless=b" " * 1024 + b"\n"))

    assert isinstance(error, ModelProtocolError)
    assert "65536" in str(error)
    assert caller.server.bytes_sent < 16 * 1024 * 1024  # the limit, and what sockets hold


async def test_an_event_without_measure_is_cut_at_the_limit(caller: Caller, small: HttpClient) -> None:
    if not caller.is_streamed:
        return

    error = await failure_of(caller._replace(client=small), Fault(pieces=(b'data: {"a":"' + b"x" * 5_000,)))

    assert "4096" in str(error)


async def test_tokens_for_ever_are_cut_at_the_limit(caller: Caller, small: HttpClient) -> None:
    if not caller.is_streamed:
        return
    first = answer_pieces(caller.dialect, "one two", is_streamed=True)[0]

    error = await failure_of(caller._replace(client=small), Fault(endless=first))

    assert "too many" in str(error) or "65536" in str(error)  # of events or of bytes: as much as one read has brought


LYING_LENGTHS = (b"5\r\ncontent-length: 7", b"-1", b"99999999999999999999999", b"x")


async def test_a_length_that_lies_is_a_typed_error(caller: Caller) -> None:
    kind = dialect(caller.dialect).stream_type.encode() if caller.is_streamed else b"application/json"
    for length in LYING_LENGTHS:
        raw = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ncontent-length: " + length + b"\r\n\r\n{}"

        error = await failure_of(caller, Fault(raw=raw))

        assert isinstance(error, ModelProtocolError | IncompleteStreamError), length


async def test_a_chunk_size_that_overflows_is_a_typed_error(caller: Caller) -> None:
    raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"F" * 30 + b"\r\n{}"

    error = await failure_of(caller, Fault(raw=raw))

    assert isinstance(error, ModelProtocolError | IncompleteStreamError)


GZIPPED, DEFLATED = gzip.compress(b"\0" * 1_000_000), zlib.compress(b"\0" * 1_000_000)


async def test_a_compressed_body_is_refused_before_it_inflates(caller: Caller) -> None:
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        bomb = GZIPPED if "gzip" in encoding else DEFLATED

        error = await failure_of(caller, Fault(body=bomb, headers={"content-encoding": encoding}))

        assert isinstance(error, ModelProtocolError)
        assert encoding in str(error)


async def test_compression_is_never_asked_for(caller: Caller) -> None:
    await caller.ask()

    assert caller.server.requests[0].headers["accept-encoding"] == "identity"


# -- redirects and the environment


async def test_a_redirect_is_never_followed(caller: Caller) -> None:
    path = dialect(caller.dialect).path[caller.is_streamed]
    with ModelServer() as other:
        targets = (
            f"{other.base_url}{path}",
            "file:///etc/passwd",
            "http://127.0.0.1:1/",
            f"{caller.server.base_url}{path}",
        )
        for asked, (status, target) in enumerate(itertools.product((301, 302, 303, 307, 308), targets), 1):
            error = await failure_of(caller, Fault(status=status, headers={"location": target}))

            assert isinstance(error, ModelStatusError)
            assert error.status == status
            assert len(caller.server.requests) == 2 * asked  # the question, and the one after it
        assert (other.connections, other.requests) == (0, [])


async def test_proxies_and_netrc_of_the_environment_are_not_used(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with ModelServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.base_url)
        await assert_answers(caller)

    assert proxy.connections == 0
    assert key_of(caller.server.requests[0].headers) == KEY


# -- leaving early


async def ask_once(session: Session, *, is_streamed: bool) -> None:
    if not is_streamed:
        await session.complete(question())
        return
    async for _ in session.stream(question()):
        pass


async def test_a_cancelled_question_closes_its_connection_at_once(caller: Caller) -> None:
    session = await caller.session()
    caller.server.hold()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ask_once(session, is_streamed=caller.is_streamed))
        await caller.server.until(lambda: caller.server.in_flight == 1)
        tasks.cancel_scope.cancel()

    await caller.server.until(lambda: caller.server.clients_left == 1)
    caller.server.release()
    await assert_answers(caller)


async def test_cancelled_at_any_moment_nothing_is_left(caller: Caller) -> None:
    session = await caller.session()
    for moment in range(40):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: ask_once(session, is_streamed=caller.is_streamed))
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await assert_answers(caller)

    await caller.server.until(lambda: caller.server.in_flight == 0)
    assert "0 busy" in repr(caller.client)


async def test_a_stream_left_early_closes_its_connection_at_once(caller: Caller) -> None:
    session = await caller.session()
    said = answer_pieces(caller.dialect, "one two three", is_streamed=True)
    silent = next(place for place, piece in enumerate(said) if b"one" in piece)
    for pieces in range(1, 4):
        caller.server.fail(Fault(hold_after=silent + pieces))
        parts = session.stream(question("one two three"))
        await anext(parts)

        await parts.aclose()

        expected = pieces
        await caller.server.until(lambda expected=expected: caller.server.clients_left == expected)  # type: ignore[misc]
        caller.server.release()
    await assert_answers(caller)


async def test_a_stream_cancelled_while_it_waits_closes_its_connection(caller: Caller) -> None:
    session = await caller.session()
    caller.server.fail(Fault(hold_after=2))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ask_once(session, is_streamed=True))
        await caller.server.until(lambda: caller.server.in_flight == 1)
        tasks.cancel_scope.cancel()

    await caller.server.until(lambda: caller.server.clients_left == 1)
    caller.server.release()
    await assert_answers(caller)
