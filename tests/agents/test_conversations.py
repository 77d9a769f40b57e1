"""Conversations: histories under a key, one turn of each at a time, and nothing of a turn that failed."""

import anyio
import anyio.lowlevel
import pytest

from ceylon import Mesh, ModelError
from ceylon.agents.conversations.in_memory import InMemoryConversations
from ceylon.models.scripted import Step
from ceylon.models.turns import Turn
from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import impatient, llm, plays


def exchange(question: str, answer: str) -> tuple[Turn, Turn]:
    return Turn("user", question), Turn("assistant", answer)


async def test_a_conversation_remembers(server: ModelServer, anyio_backend: str) -> None:
    chat = llm(server, system_prompt="Be kind.").conversation("alice")
    await chat.send("I am Alice")
    await chat.send("who am I?")

    roles = [message["role"] for message in server.requests[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert await chat.history() == (
        *exchange("I am Alice", "echo: I am Alice"),
        *exchange("who am I?", "echo: who am I?"),
    )


async def test_each_key_has_a_history_of_its_own(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    await agent.conversation("alice").send("hi")

    assert await agent.conversation("bob").history() == ()
    assert len(await agent.conversation("alice").history()) == 2


async def test_a_handle_is_no_history_any_handle_will_do(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    await agent.conversation("alice").send("hi")

    assert repr(agent.conversation("alice")) == "<Conversation 'alice' with 'tutor'>"
    assert await agent.conversation("alice").history() == exchange("hi", "echo: hi")


async def test_an_address_with_a_key_is_that_conversation(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server, "assistant")
    async with Mesh() as mesh:
        mesh.add(agent)
        assert await mesh.ref("assistant/alice").ask("hi") == "echo: hi"
        assert await mesh.ask("assistant/alice", "again") == "echo: again"

        assert len(await agent.conversation("alice").history()) == 4
        assert await agent.conversation("assistant").history() == ()


@pytest.mark.parametrize("key", ["a", "a/b", "Ärger mit Umlauten", "+94 77 123", "$", "x" * DEFAULTS.conversation_key])
async def test_a_key_is_any_text(key: str, server: ModelServer, anyio_backend: str) -> None:
    chat = llm(server).conversation(key)

    assert await chat.send("hi") == "echo: hi"
    assert len(await chat.history()) == 2


async def test_a_conversation_is_forgotten_when_it_is_cleared(server: ModelServer, anyio_backend: str) -> None:
    chat = llm(server).conversation("alice")
    await chat.send("hi")
    await chat.clear()

    assert await chat.history() == ()


async def test_the_history_can_be_read_while_the_model_is_not_there(anyio_backend: str) -> None:
    agent = plays("hello")
    chat = agent.conversation("alice")
    await chat.send("hi")
    agent.with_model("openai::gpt-4.1-mini")  # and no key

    assert await chat.history() == exchange("hi", "hello")


def test_a_thread_has_the_same_verbs(server: ModelServer) -> None:
    agent = llm(server)
    chat = agent.blocking.conversation("alice")

    assert chat.key == "alice"
    assert chat.send("one") == "echo: one"
    assert chat.complete("two").text == "echo: two"
    assert "".join(chat.stream("three")) == "echo: three"
    assert [turn.text for turn in chat.history()][::2] == ["one", "two", "three"]
    chat.clear()
    assert chat.history() == ()
    assert repr(chat) == "<BlockingConversation 'alice' with 'tutor'>"


# -- turns that fail ---------------------------------------------------------------------------------------------------


async def test_a_failed_turn_leaves_the_history_as_it_was(anyio_backend: str) -> None:
    chat = plays("hello", ModelError("it broke"), "still here").conversation("alice")
    await chat.send("hi")
    with pytest.raises(ModelError):
        await chat.send("break")
    assert await chat.history() == exchange("hi", "hello")

    assert await chat.send("there?") == "still here"
    assert await chat.history() == (*exchange("hi", "hello"), *exchange("there?", "still here"))


async def test_so_does_a_cancelled_one(server: ModelServer, anyio_backend: str) -> None:
    chat = llm(server).conversation("alice")
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chat.send, "hi")
        await server.until(lambda: server.in_flight == 1)
        tasks.cancel_scope.cancel()
    server.release()

    assert await chat.history() == ()


async def test_a_stream_is_in_the_history_when_it_has_ended(anyio_backend: str) -> None:
    chat = plays(["once ", "upon"]).conversation("alice")
    async for _ in chat.stream("a story"):
        pass

    assert await chat.history() == exchange("a story", "once upon")


async def test_a_stream_left_early_leaves_the_history_as_it_was(anyio_backend: str) -> None:
    chat = plays(["once ", "upon ", "a time"]).conversation("alice")
    async for _ in chat.stream("a story"):
        break

    assert await chat.history() == ()


async def test_so_does_one_that_was_closed_after_its_last_word(anyio_backend: str) -> None:
    chat = plays(["once ", "upon"]).conversation("alice")
    async with chat.stream("a story") as story:
        assert [await anext(story), await anext(story)] == ["once ", "upon"]

    assert await chat.history() == ()


async def test_and_one_that_broke_off(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(cut_at=400))
    chat = llm(server).conversation("alice")
    with pytest.raises(ModelError):
        await chat.stream("a long story of many words that never comes to its end").result()

    assert await chat.history() == ()


async def test_a_consumer_that_stops_halfway_does_not_keep_the_conversation_closed(anyio_backend: str) -> None:
    agent = plays(["once ", "upon"], "next")
    async with Mesh(settings=impatient(stream_idle_timeout=0.05)) as mesh:
        mesh.add(agent)
        chat = agent.conversation("alice")
        story = chat.stream("a story")
        await anext(story)

        assert await chat.send("go on") == "next"
        assert [turn.text for turn in await chat.history()] == ["a story", "once upon", "go on", "next"]


# -- one at a time, and how many ---------------------------------------------------------------------------------------


async def test_one_conversation_is_serial_and_different_ones_are_not(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        for key in ("alice", "bob", "carol"):
            for number in range(3):
                tasks.start_soon(agent.conversation(key).send, f"{key} {number}")
        await server.until(lambda: server.in_flight == 3)
        assert sorted(request.prompt.split()[0] for request in server.requests) == ["alice", "bob", "carol"]
        server.release()

    assert server.answered == 9


async def test_every_answer_of_a_conversation_follows_its_question(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    async with Mesh() as mesh:
        mesh.add(agent)
        chat = agent.conversation("alice")
        server.hold()
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(chat.send, str(number))
            await server.until(lambda: server.in_flight == 1)
            server.release()
        history = await chat.history()

    questions = [turn.text for turn in history if turn.role == "user"]
    assert [turn.text for turn in history if turn.role == "assistant"] == [f"echo: {text}" for text in questions]
    assert sorted(questions, key=int) == [str(number) for number in range(20)]
    assert server.most_in_flight == 1


async def test_conversations_stay_serial_when_the_agent_gets_more_slots(
    server: ModelServer, anyio_backend: str
) -> None:
    agent = llm(server, concurrency=1)
    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        for number in range(3):
            tasks.start_soon(agent.conversation("alice").send, str(number))
        await server.until(lambda: server.in_flight == 1)
        agent.with_concurrency(8)
        tasks.start_soon(agent.conversation("bob").send, "hi")
        await server.until(lambda: server.in_flight == 2)
        server.release()

    assert server.most_in_flight == 2


async def test_a_query_of_its_own_does_not_wait_for_conversations(anyio_backend: str) -> None:
    gate = anyio.Event()
    agent = plays(Step("late", gate=gate), "at once")
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        tasks.start_soon(agent.conversation("alice").send, "hi")
        while not mesh.statistics().agents["tutor"].pending:
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert await agent.send_message_async("hi") == "at once"
        gate.set()


async def test_the_least_recently_used_conversation_goes_first(anyio_backend: str) -> None:
    agent = plays(*"abcd")
    async with Mesh(settings=impatient(conversations=2)) as mesh:
        mesh.add(agent)
        for key in ("alice", "bob", "alice", "carol"):
            await agent.conversation(key).send(key)

        kept = {key: len(await agent.conversation(key).history()) for key in ("alice", "bob", "carol")}
    assert kept == {"alice": 4, "bob": 0, "carol": 2}


async def test_a_long_conversation_loses_its_oldest_turns_in_pairs(anyio_backend: str) -> None:
    agent = plays(*"abcd")
    async with Mesh(settings=impatient(conversation_turns=5)) as mesh:
        mesh.add(agent)
        chat = agent.conversation("alice")
        for number in range(4):
            await chat.send(str(number))

        assert [turn.text for turn in await chat.history()] == ["2", "c", "3", "d"]


async def test_histories_are_bounded_by_default() -> None:
    histories = InMemoryConversations()
    for number in range(DEFAULTS.conversations + 10):
        await histories.append(str(number), exchange("hi", "hello"))
    for _ in range(DEFAULTS.conversation_turns):
        await histories.append("long", exchange("hi", "hello"))

    assert len(await histories.keys()) == DEFAULTS.conversations == 10_000
    assert len(await histories.load("long")) == DEFAULTS.conversation_turns == 200


async def test_a_history_stays_when_the_agent_moves_to_a_mesh(anyio_backend: str) -> None:
    agent = plays("hello")
    chat = agent.conversation("alice")
    await chat.send("hi")  # in the default mesh
    async with Mesh() as mesh:
        mesh.add(agent)

        assert await chat.history() == exchange("hi", "hello")
