"""An `LlmAgent` answers: by its verbs, in a mesh, and as it is set to, also after a change."""

import inspect
from collections.abc import Coroutine
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingContext,
    BlockingMesh,
    Context,
    HandlerError,
    LlmAgent,
    Mesh,
    Message,
    ModelError,
    ModelTimeoutError,
    Reply,
    Usage,
    on,
)
from ceylon.core.ports import OnFailure
from ceylon.models.scripted import Step
from ceylon.models.turns import ReplyPart, TextPart, Turn, UsagePart
from ceylon.testing.model_server import ModelServer
from support.leftovers import eventually
from support.llm import CountingModel, impatient, llm, llm_of, plays


class Weather(Message):
    town: str
    degrees: int


async def test_a_query_is_answered_with_text(server: ModelServer, anyio_backend: str) -> None:
    assert await llm(server).send_message_async("hi") == "echo: hi"


def test_a_script_gets_the_same_by_the_blocking_verb(server: ModelServer) -> None:
    assert llm(server).send_message("hi") == "echo: hi"
    assert llm(server).blocking.complete("hi").text == "echo: hi"


async def test_complete_returns_the_whole_reply(anyio_backend: str) -> None:
    reply = Reply(text="four", usage=Usage(input=3, output=1), finish="length", model="tiny")

    whole = await plays(reply).complete("2+2?")

    assert whole == msgspec.structs.replace(reply, turns=(Turn("assistant", "four"),))


async def test_a_query_is_a_coroutine_that_starts_when_it_is_awaited(server: ModelServer, anyio_backend: str) -> None:
    query = llm(server).send_message_async("hi")

    assert isinstance(query, Coroutine)
    assert {query: "a key"}[query] == "a key"
    assert not server.requests
    assert await query == "echo: hi"


async def test_queries_are_independent_of_each_other(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    await agent.send_message_async("I am Ann")
    await agent.send_message_async("who am I?")

    assert [len(request.json["messages"]) for request in server.requests] == [1, 1]


# -- in a mesh ---------------------------------------------------------------------------------------------------------


async def test_in_a_mesh_an_ask_is_answered_with_text(server: ModelServer, anyio_backend: str) -> None:
    async with Mesh() as mesh:
        tutor = mesh.add(llm(server))

        assert await tutor.ask("hi") == "echo: hi"
        assert await mesh.ask("tutor", "hi") == "echo: hi"


async def test_the_verbs_go_to_the_mesh_the_agent_is_in(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    async with Mesh() as mesh:
        mesh.add(agent)
        await agent.send_message_async("hi")

        assert mesh.statistics().agents["tutor"].completed == 1


async def test_a_message_becomes_a_prompt_by_its_json(server: ModelServer, anyio_backend: str) -> None:
    async with Mesh() as mesh:
        tutor = mesh.add(llm(server))

        assert await tutor.ask(Weather("Galle", 31)) == 'echo: {"$type":"Weather","town":"Galle","degrees":31}'


async def test_a_class_may_say_what_a_message_is_as_a_prompt(server: ModelServer, anyio_backend: str) -> None:
    class Reporter(LlmAgent):
        def prompt(self, message: Any) -> str:
            return f"Report: {message.town} has {message.degrees} °C"

    async with Mesh() as mesh:
        reporter = mesh.add(llm_of(Reporter, server))

        assert await reporter.ask(Weather("Galle", 31)) == "echo: Report: Galle has 31 °C"


async def test_a_message_without_json_says_what_to_override(server: ModelServer, anyio_backend: str) -> None:
    async with Mesh() as mesh:
        tutor = mesh.add(llm(server))
        with pytest.raises(HandlerError, match=r"object has no JSON to make a prompt of; override `prompt\(message\)`"):
            await tutor.ask(object())


async def test_a_stream_in_a_mesh_gives_typed_parts_and_the_reply_last(anyio_backend: str) -> None:
    async with Mesh() as mesh:
        tutor = mesh.add(plays(["one ", "two"]))
        *texts, usage, last = [part async for part in tutor.stream("count")]

    assert texts == [TextPart("one "), TextPart("two")]
    assert isinstance(usage, UsagePart)
    assert isinstance(last, ReplyPart)
    assert last.reply.text == "one two"


async def test_an_ask_gets_a_model_s_error_wrapped_and_a_verb_gets_it_bare(anyio_backend: str) -> None:
    broken = ModelError("it broke")
    agent = plays(broken, broken)
    async with Mesh() as mesh:
        tutor = mesh.add(agent)
        with pytest.raises(HandlerError) as asked:
            await tutor.ask("hi")
        with pytest.raises(ModelError, match="it broke") as sent:
            await agent.send_message_async("hi")

    assert asked.value.root is broken
    assert sent.value is broken


async def test_the_cause_of_a_model_s_error_is_kept(anyio_backend: str) -> None:
    def fail(_: Any) -> str:
        raise ModelError("no answer") from OSError("cable")

    with pytest.raises(ModelError, match="no answer") as failed:
        await plays(fail).send_message_async("hi")

    assert isinstance(failed.value.__cause__, OSError)


async def test_ten_failed_queries_do_not_stop_the_agent(anyio_backend: str) -> None:
    agent = plays(*[ModelError("it broke")] * 10, "here I am")
    for _ in range(10):
        with pytest.raises(ModelError):
            await agent.send_message_async("hi")

    assert await agent.send_message_async("still there?") == "here I am"


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_the_settings_reach_the_server(server: ModelServer, anyio_backend: str) -> None:
    agent = LlmAgent("tutor", "openai::test-model", base_url=server.openai_url, api_key="sk-none")
    agent.with_system_prompt("Be concise.").with_temperature(0.7).with_max_tokens(100).with_seed(7).with_stop("END")
    await agent.with_options(top_p=0.5).build().send_message_async("hi")

    sent = server.requests[0].json
    assert sent["messages"][0] == {"role": "system", "content": "Be concise."}
    assert (sent["temperature"], sent["max_tokens"], sent["seed"], sent["stop"]) == (0.7, 100, 7, ["END"])
    assert sent["top_p"] == 0.5


async def test_keywords_do_the_same(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(
        server, system_prompt="Be concise.", temperature=0.7, max_tokens=100, seed=7, stop="END", options={"top_p": 0.5}
    )
    await agent.send_message_async("hi")

    sent = server.requests[0].json
    assert (sent["temperature"], sent["max_tokens"], sent["seed"], sent["stop"]) == (0.7, 100, 7, ["END"])
    assert sent["top_p"] == 0.5


async def test_a_setting_made_after_the_first_query_is_in_force_for_the_next(
    server: ModelServer, anyio_backend: str
) -> None:
    agent = llm(server, temperature=0.1)
    await agent.send_message_async("before")
    agent.with_temperature(0.9)
    await agent.send_message_async("after")

    assert [request.json["temperature"] for request in server.requests] == [0.1, 0.9]


async def test_a_setting_that_cannot_be_is_found_at_the_next_query(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server)
    await agent.send_message_async("before")
    agent.with_temperature(3)
    with pytest.raises(ValueError, match="temperature=3 cannot be; it takes a number from 0 to 2"):
        await agent.send_message_async("after")


async def test_the_model_s_session_is_opened_once_and_given_back(anyio_backend: str) -> None:
    model = CountingModel("one", "two", "three")
    agent = LlmAgent("tutor", model)
    async with Mesh() as mesh:
        mesh.add(agent)
        await agent.send_message_async("1")
        await agent.with_temperature(0.5).send_message_async("2")
        await agent.with_system_prompt("Count.").send_message_async("3")
        assert (model.opened, model.closed) == (1, 0)

    assert (model.opened, model.closed) == (1, 1)


async def test_another_model_takes_over_with_the_next_query(anyio_backend: str) -> None:
    first, second = CountingModel("from the first"), CountingModel("from the second")
    agent = LlmAgent("tutor", first)
    async with Mesh() as mesh:
        mesh.add(agent)
        assert await agent.send_message_async("1") == "from the first"
        assert await agent.with_model(second).send_message_async("2") == "from the second"

    assert (first.opened, first.closed, second.opened, second.closed) == (1, 1, 1, 1)


async def test_more_slots_are_used_at_once(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server, concurrency=1)
    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        for number in range(5):
            tasks.start_soon(agent.send_message_async, f"query {number}")
        await server.until(lambda: server.in_flight == 1)
        agent.with_concurrency(3)
        await server.until(lambda: server.in_flight == 3)
        server.release()

    assert server.most_in_flight == 3


async def test_a_class_may_set_the_concurrency(server: ModelServer, anyio_backend: str) -> None:
    class Narrow(LlmAgent):
        concurrency = 2

    agent = llm_of(Narrow, server)
    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        for number in range(5):
            tasks.start_soon(agent.send_message_async, f"query {number}")
        await server.until(lambda: server.in_flight == 2)
        server.release()

    assert server.most_in_flight == 2


def test_the_key_is_in_no_repr(server: ModelServer) -> None:
    agent = LlmAgent("tutor", "openai::test-model", base_url=server.openai_url, api_key="sk-canary-4711")

    assert "4711" not in repr(agent) + repr(agent.__ceylon_llm_setup__.settings)


def test_its_options_show_in_its_signature() -> None:
    parameters = inspect.signature(LlmAgent).parameters

    assert [*parameters][:2] == ["name", "model"]
    assert {"system_prompt", "temperature", "max_tokens", "concurrency", "timeout", "api_key"} <= {*parameters}


# -- restarts ----------------------------------------------------------------------------------------------------------


class Phoenix(LlmAgent):
    on_failure: OnFailure = "restart"


async def test_a_restart_keeps_the_settings_made_since(anyio_backend: str) -> None:
    model = CountingModel(ModelError("it broke"), "risen", "cooler")
    agent = Phoenix("phoenix", model, temperature=0.1).with_temperature(0.9)
    async with Mesh(settings=impatient(backoff_first=0.0)) as mesh:
        phoenix = mesh.add(agent)
        with pytest.raises(HandlerError):
            await phoenix.ask("burn")
        assert await phoenix.ask("rise") == "risen"
        agent.with_temperature(0.3)
        assert await agent.send_message_async("and now?") == "cooler"
        assert mesh.agent("phoenix") is not agent

    assert [request.temperature for request in model.requests] == [0.9, 0.9, 0.3]
    assert model.opened == model.closed


# -- time --------------------------------------------------------------------------------------------------------------


async def test_a_turn_ends_when_its_time_is_up(anyio_backend: str) -> None:
    never = anyio.Event()
    agent = plays(Step("late", gate=never), timeout=0.05)
    async with Mesh() as mesh:
        mesh.add(agent)
        with pytest.raises(ModelTimeoutError, match=r"did not finish within 0.05 s; raise `timeout=`"):
            await agent.send_message_async("hi")


async def test_a_query_may_have_a_deadline_of_its_own(server: ModelServer, anyio_backend: str) -> None:
    server.hold()
    async with Mesh() as mesh:
        agent = llm(server)
        mesh.add(agent)
        with pytest.raises(AskTimeoutError, match=r"'tutor' did not reply within 0.05 s"):
            await agent.send_message_async("hi", timeout=0.05)
        if server.requests:  # it had got so far
            await server.until(lambda: server.clients_left == 1)


async def test_a_query_in_line_waits_without_a_clock(server: ModelServer, anyio_backend: str) -> None:
    class Hurried(LlmAgent):
        ask_timeout: float | None = 0.05  # what an ask has; a query has none

    agent, answers = llm_of(Hurried, server, concurrency=1), list[str]()

    async def query(text: str) -> None:
        answers.append(await agent.send_message_async(text))

    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        tutor = mesh.add(agent)
        for number in range(3):
            tasks.start_soon(query, f"query {number}")
        await server.until(lambda: server.in_flight == 1)
        with pytest.raises(AskTimeoutError):
            await tutor.ask("me too")
        server.release()

    assert sorted(answers) == ["echo: query 0", "echo: query 1", "echo: query 2"]


class Asker(Agent):
    """Passes questions on to an agent it holds, on the loop or in a thread."""

    def __init__(self, name: str, tutor: LlmAgent) -> None:
        super().__init__(name)
        self.tutor = tutor

    @on
    async def pass_on(self, question: str, context: Context) -> str:
        return await self.tutor.send_message_async(question)

    @on
    def wait_for(self, question: bytes, context: BlockingContext) -> str:
        return self.tutor.send_message(question.decode())


@pytest.mark.parametrize("question", ["hi", b"hi"], ids=["on the loop", "in a thread"])
async def test_a_query_inherits_the_deadline_of_the_handler_it_is_part_of(
    question: "str | bytes", server: ModelServer, anyio_backend: str
) -> None:
    server.hold()
    async with Mesh() as mesh:
        agent = llm(server)
        mesh.add(agent)
        asker = mesh.add(Asker("asker", agent))
        with pytest.raises(AskTimeoutError):
            await asker.ask(question, timeout=0.1)
        await eventually(lambda: not mesh.statistics().agents["tutor"].pending)


async def test_a_cancelled_query_ends_the_request(server: ModelServer, anyio_backend: str) -> None:
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(llm(server).send_message_async, "hi")
        await server.until(lambda: server.in_flight == 1)
        tasks.cancel_scope.cancel()

    await server.until(lambda: server.clients_left == 1)


async def test_a_cancelled_query_in_line_is_never_sent(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server, concurrency=1)
    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        tasks.start_soon(agent.send_message_async, "first")
        await server.until(lambda: server.in_flight == 1)
        async with anyio.create_task_group() as impatient_tasks:
            impatient_tasks.start_soon(agent.send_message_async, "second")
            await eventually(lambda: mesh.statistics().agents["tutor"].pending == 2)
            impatient_tasks.cancel_scope.cancel()
        server.release()

    assert [request.prompt for request in server.requests] == ["first"]
    assert mesh.statistics().stopped_agents.cancelled == 1


def test_a_thread_that_is_asked_to_wait_on_the_mesh_s_own_loop_says_what_to_write(server: ModelServer) -> None:
    class Sender(Agent):
        async def on_message(self, message: str) -> str:
            return agent.send_message(message)

    agent = llm(server)
    with BlockingMesh() as mesh:
        mesh.add(agent)
        sender = mesh.add(Sender("sender"))
        with pytest.raises(HandlerError, match=r"send_message would block .* write `await agent.send_message_async"):
            sender.ask("hi")


async def test_an_agent_in_a_long_turn_stops_at_once(server: ModelServer, anyio_backend: str) -> None:
    server.hold()
    async with Mesh(settings=impatient(drain_timeout=60.0)) as mesh:
        tutor = mesh.add(llm(server))
        for question in ("first", "second"):
            await tutor.tell(question)
        await server.until(lambda: server.in_flight == 2)
        began = anyio.current_time()

        await mesh.stop(tutor, at_once=True)
        took = anyio.current_time() - began

        await server.until(lambda: server.clients_left == 2)
        assert mesh.agents == []
    assert took < impatient().stop_grace / 2  # it waits for neither the drain nor the grace
    assert mesh.statistics().stopped_agents.cancelled == 2
