"""Every memory keeps the contract, on both loops; and a memory that breaks it is found out."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from ceylon import LlmAgent, Mesh
from ceylon.agents.conversations.redis import RedisConversations
from ceylon.errors import StoreUnavailableError
from ceylon.memory.entries import Entry, Note, Query, Recalled, Where
from ceylon.memory.in_memory import InMemory
from ceylon.memory.port import Memory
from ceylon.memory.redis import RedisMemory
from ceylon.memory.sqlite import SqliteMemory
from ceylon.models.turns import Reply, ToolCall
from ceylon.testing import ScriptedModel
from ceylon.testing.contracts import memory_contract
from support.memories import FEW, FEW_ENTRIES, Clock, free_port, redis_server


async def test_the_memory_in_this_process_keeps_the_contract() -> None:
    clock = Clock()

    await memory_contract(InMemory(settings=FEW_ENTRIES, now=clock), advance=clock.advance, most=FEW)


async def test_the_memory_in_a_file_keeps_the_contract(tmp_path: Path) -> None:
    clock = Clock()
    async with SqliteMemory(tmp_path / "memory.db", settings=FEW_ENTRIES, now=clock) as memory:
        await memory_contract(memory, advance=clock.advance, most=FEW)


async def test_a_memory_without_a_clock_of_ours_keeps_it_in_real_time() -> None:
    async with SqliteMemory(":memory:") as memory:
        await memory_contract(memory)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.mark.big
@pytest.mark.process
class TestOnAServer:
    """A real Redis server."""

    async def test_the_memory_on_a_server_keeps_the_contract(self, redis_url: str) -> None:
        clock = Clock()
        async with RedisMemory(redis_url, settings=FEW_ENTRIES, now=clock) as memory:
            await memory_contract(memory, advance=clock.advance, most=FEW)

    async def test_two_memories_of_one_prefix_are_one(self, redis_url: str) -> None:
        async with RedisMemory(redis_url, prefix="one") as here, RedisMemory(redis_url, prefix="one") as there:
            await here.remember("agent", Note(text="tea", id="a"))
            assert [each.text for each in await there.entries("agent")] == ["tea"]
            assert await there.forget("agent", "a") == 1
            assert await here.count("agent") == 0

    async def test_prefixes_do_not_see_each_other(self, redis_url: str) -> None:
        async with RedisMemory(redis_url, prefix="here") as here, RedisMemory(redis_url, prefix="there") as there:
            await here.remember("agent", Note(text="tea"))
            assert await there.count("agent") == 0


@pytest.mark.big
@pytest.mark.process
async def test_a_server_that_comes_back_is_spoken_to_again() -> None:
    port = free_port()
    async with RedisMemory(f"redis://127.0.0.1:{port}/0") as memory:
        with redis_server(port):
            await memory.remember("agent", Note(text="tea"))
        with pytest.raises(StoreUnavailableError, match="Start a server"):
            await memory.count("agent")
        with redis_server(port):
            assert await memory.count("agent") == 0  # it keeps nothing, as it was started here
            await memory.remember("agent", Note(text="more tea"))
            assert await memory.count("agent") == 1


@pytest.mark.big
@pytest.mark.process
async def test_an_agent_remembers_and_converses_on_a_server(redis_url: str, anyio_backend: str) -> None:
    note = Reply(text="", calls=(ToolCall("1", "remember", {"text": "Ada likes Assam."}),), finish="tool")
    model = ScriptedModel([note, "noted", "Assam"])
    async with (
        RedisMemory(redis_url, prefix=f"agents {anyio_backend}") as memory,
        RedisConversations(redis_url, prefix=f"agents {anyio_backend}") as conversations,
    ):
        for question in ("note it", "What does Ada like?"):
            async with Mesh() as mesh:
                agent = LlmAgent("tutor", model, memory=memory, conversations=conversations)
                mesh.add(agent)
                await agent.conversation("ada").send(question)

        assert "Ada likes Assam." in model.requests[2].turns[0].text
        assert [turn.role for turn in model.requests[2].turns[1:]] == ["user", "assistant", "tool", "assistant", "user"]
        assert await conversations.keys() == ("tutor/ada",)


@pytest.mark.big
async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    async with RedisMemory("redis://user:sesame@127.0.0.1:1/0") as memory:
        with pytest.raises(
            StoreUnavailableError, match=r"redis://127.0.0.1:1/0 cannot be used: .*Start a server"
        ) as raised:
            await memory.count("agent")
        assert "sesame" not in str(raised.value)
        assert "sesame" not in repr(memory)


# -- sabotage ----------------------------------------------------------------------------------------------------------


class Wrapping(Memory):
    """A memory of one's own, around another; it keeps the contract but for what a subclass does."""

    def __init__(self, clock: Clock) -> None:
        self.inner = InMemory(settings=FEW_ENTRIES, now=clock)

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        return await self.inner.remember(namespace, *notes)

    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        return await self.inner.recall(namespace, query)

    async def forget(self, namespace: str, *ids: str) -> int:
        return await self.inner.forget(namespace, *ids)

    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        return await self.inner.entries(namespace, where, limit=limit)

    async def count(self, namespace: str, where: Iterable[Where] = ()) -> int:
        return await self.inner.count(namespace, where)


class Eternal(Wrapping):
    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        made = await super().remember(namespace, *(msgspec.structs.replace(note, ttl=None) for note in notes))
        told = zip(made, notes, strict=False)
        return tuple(msgspec.structs.replace(e, expires=None if n.ttl is None else e.created + n.ttl) for e, n in told)


class Unconditional(Wrapping):
    async def entries(self, namespace: str, where: Iterable[Where] = (), *, limit: int = 100) -> tuple[Entry, ...]:
        return await super().entries(namespace, limit=limit)


class UnconditionalRecall(Wrapping):
    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        query = msgspec.structs.replace(query, where=()) if isinstance(query, Query) else query
        return await super().recall(namespace, query)


class Shared(Wrapping):
    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        found = [await super(Shared, self).recall(each, query) for each in (namespace, *self.used)]
        return tuple(each for answer in found for each in answer)

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        self.used.add(namespace)
        return await super().remember(namespace, *notes)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.used: set[str] = set()


class Boundless(Wrapping):
    def __init__(self, clock: Clock) -> None:
        self.inner = InMemory(now=clock)


class Partial(Wrapping):
    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        return tuple([entry for note in notes for entry in await super(Partial, self).remember(namespace, note)])


class Backwards(Wrapping):
    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        return (await super().recall(namespace, query))[::-1]


class Wordless(Wrapping):
    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        if isinstance(query, Query) and query.vector is not None:
            query = msgspec.structs.replace(query, text="")
        return await super().recall(namespace, query)


class Believing(Wrapping):
    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        return await super().remember(namespace, *(msgspec.structs.replace(note, is_trusted=True) for note in notes))


class Clinging(Wrapping):
    async def forget(self, namespace: str, *ids: str) -> int:
        return len(ids)


class Generous(Wrapping):
    async def recall(self, namespace: str, query: Query | str) -> tuple[Recalled, ...]:
        query = (
            query if isinstance(query, str) or query.limit not in {2, 3} else msgspec.structs.replace(query, limit=9)
        )
        return await super().recall(namespace, query)


class Unordered(Wrapping):
    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        return tuple(sorted(await super().get(namespace, *ids), key=lambda each: each.text))


class Open(Wrapping):
    async def get(self, namespace: str, *ids: str) -> tuple[Entry, ...]:
        found = [await super(Open, self).get(each, *ids) for each in self.used]
        return tuple(each for answer in found for each in answer)

    async def remember(self, namespace: str, *notes: Note) -> tuple[Entry, ...]:
        self.used.add(namespace)
        return await super().remember(namespace, *notes)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.used: set[str] = set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_memory_of_ones_own_keeps_the_contract(clock: Clock) -> None:
    await memory_contract(Wrapping(clock), advance=clock.advance, most=FEW)


@pytest.mark.parametrize(
    ("memory", "promise"),
    [
        (Eternal, "what has expired is gone: it finds ['short lived'"),
        (Unconditional, "conditions choose: Where(key='size', operator='==', value=10) is met by {"),
        (UnconditionalRecall, "conditions hold for every verb: Query("),
        (Shared, "a namespace is invisible to the others: 'contract "),
        (Boundless, f"a namespace holds no more than it may: it keeps {FEW + 1} entries of {FEW}"),
        (Partial, "all notes are kept or none: the good note was kept without the bad one"),
        (Backwards, "words find what has them the best first: the best of the answer is"),
        (Wordless, "words and meaning count together: the best by both is"),
        (Believing, "what is remembered is kept as it was: a note without an id got none, or is trusted"),
        (Clinging, "what is forgotten is gone: it says that it has forgotten 2 entries, of one"),
        (Unordered, "what is remembered is kept as it was: by their ids there is"),
        (Open, "a namespace is invisible to the others: 'contract "),
        (Generous, "an answer has no more than its limit: 8 answers"),
    ],
)
async def test_a_broken_memory_is_found_out(memory: type[Wrapping], promise: str, clock: Clock) -> None:
    with pytest.raises(AssertionError) as raised:
        await memory_contract(memory(clock), advance=clock.advance, most=FEW)

    assert promise in str(raised.value)
