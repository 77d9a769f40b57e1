"""No call is made of a piece: a streamed call cut at every byte, in every dialect, down to the action behind it."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from ceylon import LlmAgent, Mesh
from ceylon.errors import IncompleteStreamError, ModelError, ModelProtocolError
from ceylon.models.http import HttpClient
from ceylon.models.port import Model, Session
from ceylon.models.resolve import resolve
from ceylon.models.turns import Reply, ReplyPart, ToolCall, ToolCallPart
from ceylon.testing.saying import Said
from support.dialects import ALL, answer_pieces, dialect
from support.models import parts_of, question
from support.services import Bytes

CALLS: Final = (
    ToolCall("call_a", "pay", {"amount": 1000, "to": "é \u2028 \U0001f600"}),
    ToolCall("call_b", "pay", {"amount": 2, "to": "Bob"}),
)
SAID: Final = Said(text="So é \U0001f600 be it.", calls=CALLS)
EVERY: Final = [pytest.param(1, marks=pytest.mark.big), 17]


@pytest.fixture(params=sorted(ALL))
def name(request: pytest.FixtureRequest) -> str:
    """Return a dialect's name."""
    found: str = request.param
    return found


def whole(name: str, *, is_streamed: bool = True) -> bytes:
    """Return the bytes of an answer with calls."""
    return b"".join(answer_pieces(name, SAID, is_streamed=is_streamed))


@asynccontextmanager
async def session_over(name: str, transport: Bytes) -> AsyncIterator[Session]:
    """Open a session that reads what *transport* has."""
    async with HttpClient(transport=transport) as client:
        yield await model_of(name).open(client)


def model_of(name: str) -> Model:
    url = "http://box/v1" if name.startswith("openai") else "http://box"
    return resolve(f"{name}::test-model", base_url=url, api_key="sk-none")


async def calls_of(session: Session) -> list[ToolCall]:
    """Return the calls that come out of a stream, also of one that breaks off."""
    calls: list[ToolCall] = []
    try:
        async for part in session.stream(question()):
            if isinstance(part, ToolCallPart):
                calls.append(part.call)
            if isinstance(part, ReplyPart):
                assert list(part.reply.calls) == calls
    except (IncompleteStreamError, ModelProtocolError):
        pass
    return calls


@pytest.mark.parametrize("step", EVERY)
async def test_a_stream_cut_at_any_byte_gives_all_calls_or_none(name: str, step: int, anyio_backend: str) -> None:
    if step == 1 and anyio_backend == "trio":
        return  # what bytes mean is no affair of the loop
    body = whole(name)
    end = body.index(dialect(name).end[1])
    transport = Bytes(dialect(name).stream_type, [body])
    async with session_over(name, transport) as session:
        expected = await calls_of(session)
        assert [(call.name, call.arguments) for call in expected] == [(call.name, call.arguments) for call in CALLS]
        for place in (*range(0, len(body), step), *range(end - 40, end + 40)):
            transport.pieces = [body[:place]]
            calls = await calls_of(session)
            assert calls in ([], expected)
            assert place >= end or not calls, place


@pytest.mark.parametrize("step", EVERY)
async def test_a_whole_answer_cut_at_any_byte_gives_no_call(name: str, step: int, anyio_backend: str) -> None:
    if step == 1 and anyio_backend == "trio":
        return  # what bytes mean is no affair of the loop
    body = whole(name, is_streamed=False)
    transport = Bytes("application/json", [body])
    async with session_over(name, transport) as session:
        assert len((await session.complete(question())).calls) == 2
        for place in range(0, len(body) - 1, step):
            transport.pieces = [body[:place]]
            with pytest.raises(ModelError):
                await session.complete(question())


@pytest.mark.parametrize("step", EVERY)
async def test_a_stream_split_at_any_byte_is_read_alike(name: str, step: int, anyio_backend: str) -> None:
    if step == 1 and anyio_backend == "trio":
        return  # what bytes mean is no affair of the loop
    body = whole(name)
    transport = Bytes(dialect(name).stream_type, [body])
    async with session_over(name, transport) as session:
        expected = await parts_of(session, question())
        for place in range(1, len(body), step):
            transport.pieces = [body[:place], body[place:]]
            assert await parts_of(session, question()) == expected
        transport.pieces = [body[place : place + 1] for place in range(len(body))]
        assert await parts_of(session, question()) == expected


# -- down to the action ------------------------------------------------------------------------------------------------


class Over:
    """A model whose server sends *bytes*, each time the next."""

    def __init__(self, name: str, answers: Sequence[bytes]) -> None:
        self.name = f"{name}::test-model"
        self._inner, self._transport = model_of(name), Bytes(dialect(name).stream_type, [])
        self._answers = iter(answers)

    def check(self) -> None:
        """Nothing is wrong."""

    async def open(self, client: HttpClient) -> Session:
        """Open a session over the transport."""
        del client
        made: Any = _Next(await self._inner.open(HttpClient(transport=self._transport)), self)
        opened: Session = made
        return opened

    def turn(self) -> None:
        """Let the next answer be sent."""
        self._transport.pieces = [next(self._answers)]


class _Next:
    def __init__(self, session: Session, model: Over) -> None:
        self._session, self._model = session, model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def stream(self, request: Any) -> Any:
        """Stream the next answer."""
        self._model.turn()
        return self._session.stream(request)


async def paid(name: str, *answers: bytes) -> tuple[list[tuple[int, str]], BaseException | None]:
    """Return what was paid by an agent whose model answered so, and what its stream ended with."""
    made: list[tuple[int, str]] = []
    error: BaseException | None = None

    def pay(amount: int, to: str) -> str:
        """Pay somebody."""
        made.append((amount, to))
        return "paid"

    async with Mesh() as mesh:
        mesh.add(agent := LlmAgent("cashier", Over(name, answers), tools=[pay]))
        try:
            async for _ in agent.parts("Pay them."):
                pass
        except ModelError as caught:
            error = caught
    return made, error


async def test_an_agent_pays_nobody_out_of_a_stream_that_broke_off(name: str) -> None:
    body, goodbye = whole(name), b"".join(answer_pieces(name, "Done.", is_streamed=True))
    end = body.index(dialect(name).end[1])
    places = sorted({*range(1, end, max(1, end // 24)), end - 1})

    made, error = await paid(name, body, goodbye)
    assert (sorted(made), error) == (sorted(tuple(call.arguments.values()) for call in CALLS), None)
    for place in places:
        made, error = await paid(name, body[:place], goodbye)
        assert made == []
        assert isinstance(error, IncompleteStreamError | ModelProtocolError)


class _Hasty(_Next):
    """A session that makes the best of a stream that broke off: it lets the call be made as far as it has come."""

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        """Stream the next answer, and a reply in any case."""
        self._model.turn()
        try:
            async for part in self._session.stream(request):
                yield part
        except IncompleteStreamError:
            yield ReplyPart(Reply(text="", calls=(ToolCall("call_a", "pay", {"amount": 1, "to": ""}),), finish="tool"))


async def test_a_session_that_makes_calls_of_pieces_would_be_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}._Next", _Hasty)
    goodbye = b"".join(answer_pieces(name, "Done.", is_streamed=True))

    made, error = await paid(name, whole(name)[: -len(whole(name)) // 2], goodbye)

    assert (made, error) == ([(1, "")], None)


# -- calls that do not fit together ------------------------------------------------------------------------------------


def disturbed(pieces: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a stream whose pieces are left out, repeated, exchanged."""
    changed = list(pieces)
    for _ in range(chance.randint(1, 3)):
        place, other = chance.randrange(len(changed)), chance.randrange(len(changed))
        match chance.choice(["drop", "repeat", "exchange", "move"]):
            case "drop" if len(changed) > 1:
                del changed[place]
            case "repeat":
                changed.insert(other, changed[place])
            case "exchange":
                changed[place], changed[other] = changed[other], changed[place]
            case _:
                changed.insert(other, changed.pop(place))
    return b"".join(changed)


@pytest.mark.parametrize("runs", [pytest.param(2_000, marks=pytest.mark.big), 60])
async def test_pieces_in_disorder_are_refused_or_make_calls_with_ids_of_their_own(name: str, runs: int) -> None:
    pieces = answer_pieces(name, SAID, is_streamed=True)
    transport = Bytes(dialect(name).stream_type, [])
    refused = 0
    async with session_over(name, transport) as session:
        for seed in range(runs):
            transport.pieces = [disturbed(pieces, random.Random(seed))]  # noqa: S311 – repeatable is the point
            try:
                *_, last = await parts_of(session, question())
            except (IncompleteStreamError, ModelProtocolError):
                refused += 1
                continue
            assert isinstance(last, ReplyPart)
            ids = [call.id for call in last.reply.calls]
            assert all(ids), seed
            assert len(ids) == len(set(ids)), seed
            assert all(isinstance(call.arguments, dict) for call in last.reply.calls)
    assert refused < runs


async def test_calls_without_id_of_one_id_or_of_nothing_known_are_made_once_or_told(name: str) -> None:
    def calling(*calls: ToolCall) -> bytes:
        return b"".join(answer_pieces(name, Said(calls=calls), is_streamed=True))

    goodbye = b"".join(answer_pieces(name, "Done.", is_streamed=True))
    bill = {"amount": 1, "to": "x"}
    for calls, most in (
        ((ToolCall("", "pay", bill), ToolCall("", "pay", bill)), 2),
        ((ToolCall("same", "pay", bill), ToolCall("same", "pay", bill)), 2),
        ((ToolCall("a", "steal", bill),), 0),
        ((ToolCall("a", "p" * 10_240, bill),), 0),
        ((ToolCall("a" * 10_240, "pay", bill),), 1),
        ((ToolCall("a", "pay", {"amount": "much", "to": 7}),), 0),
    ):
        made, error = await paid(name, calling(*calls), goodbye)

        assert len(made) <= most, calls
        assert error is None or isinstance(error, ModelProtocolError)
