"""Messages for a conversation that is busy: they wait, join the turn under way, or break it off; the history holds."""

import threading
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

from ceylon import (
    ArgumentError,
    Conversation,
    LlmAgent,
    Mesh,
    Prompt,
    Reply,
    TextPart,
    ToolCall,
    Turn,
    action,
)
from ceylon.agents.prompts import When
from ceylon.errors import InterruptedTurnError
from ceylon.models.scripted import ScriptedModel, Step
from ceylon.models.turns import Request, ToolResult
from ceylon.testing import Simulation, check_history, simulate
from ceylon.testing.sabotage import leave_calls_open
from support.turns import run_at_once, wants

ALL: Final[tuple[When, ...]] = ("queue", "absorb", "interrupt")
INTERRUPTED: Final = "(interrupted before an answer)"


class Worker(LlmAgent):
    """Works until it may go on, or until it is broken off."""

    def _begin(self) -> None:
        super()._begin()
        self.has_begun, self.may_end = anyio.Event(), anyio.Event()
        self.broken_off = 0
        self.sent: list[str] = []

    @action
    async def work(self) -> str:
        """Work for a while."""
        self.has_begun.set()
        try:
            await self.may_end.wait()
        except BaseException:
            self.broken_off += 1
            raise
        return "worked"

    @action(effect=True)
    async def send(self, text: str) -> str:
        """Send a letter."""
        self.has_begun.set()
        await self.may_end.wait()
        self.sent.append(text)
        return "sent"


def worker(*steps: Any, **options: Any) -> Worker:
    return Worker("worker", ScriptedModel(steps), **options)


def last_words(request: Request) -> str:
    return f"re: {request.turns[-1].text}"


WORK: Final = ToolCall("1", "work")


async def waiting(mesh: Mesh, number: int) -> None:
    """Wait until so many messages are in handlers or before them."""
    while mesh.statistics().agents["worker"].pending < number:
        await anyio.lowlevel.checkpoint()


async def test_by_default_a_message_waits_for_the_end_of_the_turn(mesh: Mesh) -> None:
    agent = worker(wants(WORK), "first", last_words)
    mesh.add(agent)
    chat, answers = agent.conversation("alice"), dict[str, str]()
    async with anyio.create_task_group() as tasks:

        async def send(text: str) -> None:
            answers[text] = await chat.send(text)

        tasks.start_soon(send, "one")
        await agent.has_begun.wait()
        tasks.start_soon(send, "two")
        await waiting(mesh, 2)
        agent.may_end.set()

    assert answers == {"one": "first", "two": "re: two"}
    assert check_history(await chat.history()) == []


async def test_what_is_absorbed_joins_the_turn_before_its_next_request_and_shares_the_answer(mesh: Mesh) -> None:
    agent = worker(wants(WORK), last_words)
    mesh.add(agent)
    chat, replies = agent.conversation("alice"), list[Reply[Any]]()
    async with anyio.create_task_group() as tasks:

        async def send(text: str, **options: Any) -> None:
            replies.append(await chat.complete(text, **options))

        tasks.start_soon(send, "one")
        await agent.has_begun.wait()
        tasks.start_soon(lambda: send("and two", when="absorb"))
        await waiting(mesh, 2)
        agent.may_end.set()

    assert [reply.text for reply in replies] == ["re: and two"] * 2
    assert sorted(reply.requests for reply in replies) == [0, 2]
    history = await chat.history()
    assert [turn.role for turn in history] == ["user", "assistant", "tool", "user", "assistant"]
    assert check_history(history) == []
    assert mesh.statistics().agents["worker"].completed >= 2


async def test_what_comes_too_late_to_be_absorbed_is_a_turn_of_its_own(mesh: Mesh) -> None:
    begun, gate = anyio.Event(), anyio.Event()

    async def last_request() -> None:
        begun.set()
        await gate.wait()

    agent = worker(Step("first", gate=last_request), last_words)
    mesh.add(agent)
    chat, answers = agent.conversation("alice"), list[str]()
    async with anyio.create_task_group() as tasks:

        async def send(text: str, **options: Any) -> None:
            answers.append(await chat.send(text, **options))

        tasks.start_soon(send, "one")
        await begun.wait()
        tasks.start_soon(lambda: send("two", when="absorb"))
        await waiting(mesh, 2)
        gate.set()

    assert sorted(answers) == ["first", "re: two"]
    assert check_history(await chat.history()) == []


async def test_what_was_absorbed_by_a_turn_that_fails_is_a_turn_of_its_own(mesh: Mesh) -> None:
    agent = worker(wants(WORK), ValueError("no model"), last_words)
    mesh.add(agent)
    chat, answers = agent.conversation("alice"), list[str]()
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(ValueError, match="no model"):
                await chat.send("one")

        async def second() -> None:
            answers.append(await chat.send("two", when="absorb"))

        tasks.start_soon(first)
        await agent.has_begun.wait()
        tasks.start_soon(second)
        await waiting(mesh, 2)
        agent.may_end.set()

    assert answers == ["re: two"]
    assert await chat.history() == (Turn("user", "two"), Turn("assistant", "re: two"))


async def test_an_interruption_breaks_the_turn_off_and_is_answered_with_a_history_that_holds(mesh: Mesh) -> None:
    model = ScriptedModel([wants(WORK, text="let me see"), last_words])
    agent = Worker("worker", model)
    mesh.add(agent)
    chat = agent.conversation("alice")
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError):
                await chat.send("one")

        tasks.start_soon(first)
        await agent.has_begun.wait()
        assert await chat.send("stop", when="interrupt") == "re: stop"

    assert agent.broken_off == 1
    history = await chat.history()
    assert [turn.role for turn in history] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert history[2].results == (ToolResult("1", "work", "interrupted", is_error=True),)
    assert history[3].text == INTERRUPTED
    assert check_history(history) == check_history(model.requests[-1].turns) == []
    assert mesh.statistics().agents["worker"].failed == 1


async def test_the_request_that_is_under_way_is_cancelled_and_what_was_said_is_kept(mesh: Mesh) -> None:
    class Talking(ScriptedModel):
        """Says a few words, then nothing."""

        async def open(self, client: Any = None) -> Any:
            del client
            return self

        async def stream(self, request: Request) -> Any:
            if request.turns[-1].text == "one":
                yield TextPart("I think ")
                yield TextPart("that")
                try:
                    await anyio.sleep_forever()
                finally:
                    cancelled.append(request.turns[-1].text)
            yield TextPart(last_words(request))
            from ceylon import ReplyPart  # noqa: PLC0415

            yield ReplyPart(Reply(text=last_words(request)))

        async def aclose(self) -> None:
            return

    cancelled: list[str] = []
    agent = Worker("worker", Talking())
    mesh.add(agent)
    chat, heard, texts = agent.conversation("alice"), list[str](), list[str]()
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError) as caught:
                async for text in chat.stream("one"):
                    heard.append(text)
            assert caught.value.text == "I think that"

        tasks.start_soon(first)
        while len(heard) < 2:
            await anyio.lowlevel.checkpoint()
        texts += [text async for text in chat.stream("stop", when="interrupt")]

    assert (heard, texts, cancelled) == (["I think ", "that"], ["re: stop"], ["one"])
    assert [turn.text for turn in await chat.history()] == ["one", "I think that", "stop", "re: stop"]


async def test_an_effect_under_way_is_not_broken_off_and_its_result_is_kept(mesh: Mesh) -> None:
    agent = worker(wants(ToolCall("1", "send", {"text": "hello"}), ToolCall("2", "work")), last_words)
    mesh.add(agent)
    chat = agent.conversation("alice")
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError):
                await chat.send("one")

        async def second() -> None:
            assert await chat.send("stop", when="interrupt") == "re: stop"

        tasks.start_soon(first)
        await agent.has_begun.wait()
        tasks.start_soon(second)
        while not agent.broken_off:
            await anyio.lowlevel.checkpoint()
        agent.may_end.set()

    assert agent.sent == ["hello"]
    texts = {result.name: result.text for turn in await chat.history() for result in turn.results}
    assert texts == {"send": "sent", "work": "interrupted"}


async def test_an_interruption_goes_before_what_waits_and_needs_no_free_slot(mesh: Mesh) -> None:
    model = ScriptedModel([wants(WORK), last_words, last_words])
    agent = Worker("worker", model, concurrency=1)
    mesh.add(agent)
    chat, answers = agent.conversation("alice"), list[str]()
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError):
                await chat.send("one")

        async def send(text: str, **options: Any) -> None:
            answers.append(await chat.send(text, **options))

        tasks.start_soon(first)
        await agent.has_begun.wait()
        tasks.start_soon(send, "two")
        await waiting(mesh, 2)
        tasks.start_soon(lambda: send("stop", when="interrupt"))

    assert sorted(answers) == ["re: stop", "re: two"]
    assert [request.turns[-1].text for request in model.requests[1:]] == ["stop", "two"]


async def test_whoever_was_absorbed_hears_of_the_interruption_too(mesh: Mesh) -> None:
    agent = worker(wants(WORK), wants(ToolCall("2", "work")), last_words)
    mesh.add(agent)
    chat, ended = agent.conversation("alice"), list[str]()
    async with anyio.create_task_group() as tasks:

        async def send(text: str, **options: Any) -> None:
            with pytest.raises(InterruptedTurnError):
                await chat.send(text, **options)
            ended.append(text)

        tasks.start_soon(send, "one")
        await agent.has_begun.wait()
        tasks.start_soon(lambda: send("two", when="absorb"))
        await waiting(mesh, 2)
        ended_before, agent.has_begun = agent.may_end, anyio.Event()
        agent.may_end = anyio.Event()
        ended_before.set()
        await agent.has_begun.wait()
        assert await chat.send("stop", when="interrupt") == "re: stop"

    assert sorted(ended) == ["one", "two"]
    history = await chat.history()
    assert [turn.text for turn in history if turn.role == "user"] == ["one", "two", "stop"]
    assert check_history(history) == []


async def test_over_the_mesh_an_address_is_steered_by_a_prompt(mesh: Mesh) -> None:
    agent = worker(wants(WORK), last_words)
    mesh.add(agent)
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            with pytest.raises(InterruptedTurnError):
                await mesh.ask("worker/alice", "one")

        tasks.start_soon(first)
        await agent.has_begun.wait()
        reply = await mesh.ask("worker/alice", Prompt("stop", when="interrupt"))
        assert reply.text == "re: stop"

    assert agent.broken_off == 1


async def test_a_tell_that_is_interrupted_is_kept_as_failed(mesh: Mesh) -> None:
    agent = worker(wants(WORK), last_words)
    mesh.add(agent)
    await mesh.tell("worker/alice", "one")
    await agent.has_begun.wait()

    assert await agent.conversation("alice").send("stop", when="interrupt") == "re: stop"
    assert mesh.statistics().agents["worker"].failed == 1


async def test_other_conversations_and_queries_of_their_own_are_left_alone(mesh: Mesh) -> None:
    agent = worker(wants(WORK), last_words, last_words, "first")
    mesh.add(agent)
    answers: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def first() -> None:
            answers.append(await agent.conversation("alice").send("one"))

        tasks.start_soon(first)
        await agent.has_begun.wait()
        answers.append(await agent.conversation("bob").send("hi", when="interrupt"))
        answers.append((await mesh.ask("worker", Prompt("hi", when="interrupt"))).text)
        agent.may_end.set()

    assert answers == ["re: hi", "re: hi", "first"]


async def test_when_is_one_of_three_words(mesh: Mesh) -> None:
    agent = worker("never")
    mesh.add(agent)
    with pytest.raises(ArgumentError, match="'queue', 'absorb', 'interrupt'"):
        await agent.conversation("alice").send("hi", when="now")  # type: ignore[arg-type]


def test_a_thread_steers_too() -> None:
    begun, ended = threading.Event(), list[str]()

    @action
    async def work() -> None:
        """Work for ever."""
        begun.set()
        await anyio.sleep_forever()

    chat = LlmAgent("worker", ScriptedModel([wants(WORK), last_words]), tools=[work]).blocking.conversation("alice")

    def first() -> None:
        with pytest.raises(InterruptedTurnError):
            chat.send("one")
        ended.append("one")

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    assert chat.send("stop", when="interrupt") == "re: stop"
    thread.join(10)

    assert ended == ["one"]


# -- at random ---------------------------------------------------------------------------------------------------------


class Busy(LlmAgent):
    """Acts as slowly as the seed says."""

    def pace(self, simulation: Simulation) -> "Busy":
        self.random, self.effects = simulation.random, 0
        return self

    @action
    async def look(self) -> str:
        """Look around."""
        await anyio.sleep(self.random.choice([0.0, 0.1, 1.0, 5.0]))
        return "seen"

    @action(effect=True)
    async def act(self) -> str:
        """Do something."""
        await anyio.sleep(self.random.choice([0.0, 0.1, 1.0]))
        self.effects += 1
        return "done"


async def run_steering(simulation: Simulation) -> list[str]:
    """Steer two conversations at random; return what is wrong with the histories, and with what the model was sent."""
    chance, found = simulation.random, list[str]()
    numbers = iter(range(100_000))

    async def answer(request: Request) -> Any:
        found.extend(check_history(request.turns))
        await anyio.sleep(chance.choice([0.0, 0.1, 2.0]))
        if chance.random() < 0.4:
            return f"answer {next(numbers)}"
        names = [chance.choice(["look", "act", "nothing"]) for _ in range(chance.randint(1, 3))]
        return wants(*(ToolCall(f"id{next(numbers)}", name) for name in names), text="hm")

    async with simulation.mesh() as mesh:
        agent = Busy("busy", ScriptedModel([answer] * 1000), concurrency=chance.choice([1, 2, 8])).pace(simulation)
        mesh.add(agent)

        async def talk(chat: Conversation, number: int) -> None:
            await anyio.sleep(chance.choice([0.0, 0.5, chance.uniform(0, 8)]))
            when = chance.choice(ALL)
            try:
                if chance.random() < 0.3:
                    async for _ in chat.stream(f"say {number}", when=when):
                        await anyio.sleep(chance.choice([0.0, 0.2]))
                else:
                    await chat.send(f"say {number}", when=when)
            except InterruptedTurnError:
                return

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(talk, agent.conversation(chance.choice("ab")), number)
        for key in "ab":
            found += check_history(await agent.conversation(key).history())
    return found


@simulate(40)
async def test_whatever_arrives_whenever_the_history_holds(simulation: Simulation) -> None:
    assert await run_steering(simulation) == []


@pytest.mark.slow
@simulate(range(1000, 1500))
async def test_whatever_arrives_whenever_the_history_holds_often(simulation: Simulation) -> None:
    assert await run_steering(simulation) == []


def test_calls_that_are_left_open_by_an_interruption_are_found() -> None:
    found: list[str] = []

    async def program(simulation: Simulation) -> None:
        found.extend(await run_steering(simulation))

    with leave_calls_open():
        for seed in range(20):
            run_at_once(program, seed=seed)

    assert any("have no results" in each for each in found)


CALL: Final = Turn("assistant", calls=(ToolCall("1", "work"),))
RESULT: Final = Turn("tool", results=(ToolResult("1", "work", "done"),))
HI: Final = Turn("user", "hi")
ANSWER: Final = Turn("assistant", "yes")


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        ((HI, ANSWER, HI, CALL, RESULT, HI, ANSWER), ""),
        ((Turn("system", "be kind"), HI, CALL, RESULT, ANSWER), ""),
        ((HI, CALL, RESULT, ANSWER, HI, CALL, RESULT, ANSWER), "two calls have the id '1'"),
        ((ANSWER,), "the assistant begins"),
        ((HI, HI), "the user speaks twice in a row"),
        ((HI, ANSWER, ANSWER), "the assistant speaks twice in a row"),
        ((HI, CALL), "1 calls have no results"),
        ((HI, CALL, HI), "1 calls have no results"),
        ((HI, RESULT), "do not answer the calls"),
        ((HI, CALL, Turn("tool")), "do not answer the calls"),
        ((HI, Turn("assistant")), "the model says nothing"),
        ((HI, ANSWER, Turn("system", "now")), "not first"),
        ((HI, Turn("user", "x", calls=CALL.calls)), "the user calls"),
    ],
)
def test_the_checker_finds_what_a_provider_would_refuse(turns: tuple[Turn, ...], fault: str) -> None:
    found = check_history(turns)

    assert not found if not fault else any(fault in each for each in found)
