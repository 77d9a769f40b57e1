"""Stores of conversations keep their contract; windows and summaries never part a call from its result."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.agents.conversations.in_memory import InMemoryConversations
from ceylon.agents.conversations.port import ConversationStore
from ceylon.agents.conversations.redis import RedisConversations
from ceylon.agents.conversations.sqlite import SqliteConversations
from ceylon.agents.conversations.summary import Summarise
from ceylon.agents.conversations.window import Window, tokens_of
from ceylon.errors import ArgumentError, StoreError, StoreUnavailableError
from ceylon.memory.sqlite import SqliteMemory
from ceylon.models.turns import Attachment, ToolCall, ToolResult, Turn
from ceylon.settings import DEFAULTS
from ceylon.testing.contracts import conversation_contract
from support.memories import redis_server

FEW = msgspec.structs.replace(DEFAULTS, conversation_turns=8, conversations=30)
LIMITS: Any = {"turns": 8, "conversations": 30}


async def test_the_store_in_this_process_keeps_the_contract() -> None:
    await conversation_contract(InMemoryConversations(FEW), **LIMITS)


async def test_the_store_in_a_file_keeps_the_contract(tmp_path: Path) -> None:
    async with SqliteConversations(tmp_path / "chats.db", settings=FEW) as store:
        await conversation_contract(store, **LIMITS)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.mark.big
@pytest.mark.process
async def test_the_store_on_a_server_keeps_the_contract(redis_url: str, anyio_backend: str) -> None:
    async with RedisConversations(redis_url, prefix=anyio_backend, settings=FEW) as store:
        await conversation_contract(store, **LIMITS)


@pytest.mark.big
@pytest.mark.process
async def test_a_key_that_somebody_else_has_put_on_the_server_is_a_typed_error(
    redis_url: str, anyio_backend: str
) -> None:
    async with RedisConversations(redis_url, prefix=f"strange-{anyio_backend}") as store:
        await store._server.run(lambda client: client.zadd(store._used, {b"\xff": 1}))  # noqa: SLF001 – as above

        with pytest.raises(StoreError, match="no key of a conversation"):
            await store.keys()


async def test_what_is_no_turn_is_a_typed_error(tmp_path: Path) -> None:
    async with SqliteConversations(tmp_path / "chats.db") as store:
        await store.append("a", [Turn("user", "hi")])
        await store._file.write(lambda file: file.execute('UPDATE turns SET turn = \'{"role": "king"}\'').rowcount)  # noqa: SLF001 – as somebody else would

        with pytest.raises(StoreError, match="what is kept is no turn: Invalid enum value 'king'"):
            await store.load("a")


async def test_a_file_of_conversations_is_no_memory(tmp_path: Path) -> None:
    async with SqliteConversations(tmp_path / "chats.db") as store:
        await store.append("a", [Turn("user", "hi")])
    async with SqliteMemory(tmp_path / "chats.db") as memory:
        with pytest.raises(StoreUnavailableError, match="it holds conversations 1, not memory 1"):
            await memory.count("a")


async def test_what_json_cannot_hold_is_refused_and_nothing_is_kept() -> None:
    async with SqliteConversations(":memory:") as store:
        odd = Turn("assistant", calls=(ToolCall("1", "x", {"y": object()}),))
        with pytest.raises(ArgumentError, match="a turn cannot be kept"):
            await store.append("a", [Turn("user", "hi"), odd])

        assert await store.keys() == ()


# -- sabotage ----------------------------------------------------------------------------------------------------------


class Wrapping(ConversationStore):
    """A store of one's own, which keeps the contract but for what a subclass does."""

    def __init__(self) -> None:
        self.inner = InMemoryConversations(FEW)

    async def load(self, key: str) -> tuple[Turn, ...]:
        return await self.inner.load(key)

    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        await self.inner.append(key, turns)

    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        await self.inner.replace(key, turns)

    async def drop(self, key: str) -> None:
        await self.inner.drop(key)

    async def keys(self) -> tuple[str, ...]:
        return await self.inner.keys()


class Cutting(Wrapping):
    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        await self.inner.replace(key, (*await self.inner.load(key), *turns)[-8:])


class Textual(Wrapping):
    async def load(self, key: str) -> tuple[Turn, ...]:
        return tuple(Turn(turn.role, turn.text) for turn in await self.inner.load(key))


class Caseless(Wrapping):
    async def load(self, key: str) -> tuple[Turn, ...]:
        return await self.inner.load(key.rstrip("*%"))


class Clinging(Wrapping):
    async def drop(self, key: str) -> None: ...


class Adding(Wrapping):
    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        await self.inner.append(key, turns)


class FirstComeFirst(Wrapping):
    async def keys(self) -> tuple[str, ...]:
        return (await self.inner.keys())[::-1]


class Summaryless(Wrapping):
    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        kept = [turn for turn in await self.inner.load(key) if turn.role != "system"]
        await self.inner.replace(key, (*kept, *turns))


async def test_a_store_of_ones_own_keeps_the_contract() -> None:
    await conversation_contract(Wrapping(), **LIMITS)


@pytest.mark.parametrize(
    ("store", "promise"),
    [
        (Cutting, "no call is parted from its result: it begins with a turn of the"),
        (Textual, "a turn is kept as it was: of (Turn("),
        (Caseless, "conversations do not see each other: 'contract/"),
        (Clinging, "what is dropped is gone: its turns are there"),
        (Adding, "a conversation is replaced in one step: the turns are"),
        (FirstComeFirst, "the one used last comes first: the keys are"),
        (Summaryless, "a summary stays first: it begins with Turn(role='user'"),
    ],
)
async def test_a_broken_store_is_found_out(store: type[Wrapping], promise: str) -> None:
    with pytest.raises(AssertionError) as raised:
        await conversation_contract(store(), **LIMITS)

    assert promise in str(raised.value)


# -- windows and summaries ---------------------------------------------------------------------------------------------


@st.composite
def conversations(draw: st.DrawFn) -> list[Turn]:
    """Return a conversation as agents have them: questions, calls with their results, answers, perhaps a summary."""
    turns = [Turn("system", "a summary")] if draw(st.booleans()) else []
    for question in range(draw(st.integers(0, 6))):
        turns.append(Turn("user", f"question {question}" + " x" * draw(st.integers(0, 40))))
        for number in range(draw(st.integers(0, 3))):
            name = f"{question}.{number}"
            turns.append(Turn("assistant", calls=(ToolCall(name, "look"),)))
            turns.append(Turn("tool", results=(ToolResult(name, "look", "found"),)))
        turns.append(Turn("assistant", f"answer {question}"))
    return turns


def is_valid(turns: Sequence[Turn]) -> bool:
    """Say whether a provider takes *turns*: a question first, behind a summary; each call with its result."""
    roles = [turn.role for turn in turns]
    begins = not roles or roles[0] == "user" or (roles[0] == "system" and roles[1:2] in ([], ["user"]))
    calls = [call.id for turn in turns for call in turn.calls]
    results = [result.id for turn in turns for result in turn.results]
    paired = all(after.role == "tool" for turn, after in itertools.pairwise(turns) if turn.calls)
    return begins and calls == results and paired


@given(conversations(), st.one_of(st.none(), st.integers(1, 30)), st.integers(1, 400))
def test_a_window_is_a_valid_conversation_within_its_limits(turns: list[Turn], most: int | None, tokens: int) -> None:
    shown = Window(turns=most, tokens=tokens).of(turns)

    assert is_valid(shown)
    questions = sum(turn.role == "user" for turn in shown)
    assert list(shown[-1:]) == turns[-1:]
    if questions > 1:
        assert most is None or len(shown) <= most
        assert sum(map(tokens_of, shown)) <= tokens
    asked = [turn for turn in shown if turn.role != "system"]
    assert asked == turns[len(turns) - len(asked) :]


@given(conversations(), st.integers(2, 20), st.data())
def test_a_summary_takes_whole_exchanges(turns: list[Turn], after: int, data: st.DataObject) -> None:
    policy = Summarise(after=after, keep=data.draw(st.integers(1, after - 1)))

    older, staying = policy.split(turns)

    assert [*older, *staying] == turns
    assert is_valid(policy.joined("short", staying)) if older else list(staying) == turns
    if older and any(turn.role == "user" for turn in older):
        assert len([turn for turn in staying if turn.role == "user"]) >= 1


def test_pictures_count_for_what_they_cost() -> None:
    assert tokens_of(Turn("user", "a" * 400)) == 104
    assert tokens_of(Turn("user", attachments=(Attachment("image/png", b"x" * 9),))) == 1004


@pytest.mark.parametrize("make", [Window, lambda: Window(turns=0), lambda: Window(tokens=True)])
def test_a_window_has_limits(make: Any) -> None:
    with pytest.raises(ArgumentError, match="a window has limits"):
        make()


@pytest.mark.parametrize(("after", "keep"), [(2, 2), (0, 0), (5, 9)])
def test_a_summary_keeps_less_than_it_begins_with(after: int, keep: int) -> None:
    with pytest.raises(ArgumentError, match="it takes 0 < keep < after"):
        Summarise(after=after, keep=keep)
