"""Batches: answers in order or as they come, so many at a time, again after faults that pass, and how far it is."""

import sys
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest

from ceylon import Answer, LlmAgent, Mesh, ModelError, ModelStatusError, ModelUnavailableError, Reply, Usage
from ceylon.models.scripted import Step
from ceylon.settings import DEFAULTS
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import impatient, llm, plays

QUERIES = [f"query {number}" for number in range(20)]
ANSWERS = [f"echo: {query}" for query in QUERIES]


@pytest.fixture
async def agent(server: ModelServer, anyio_backend: str) -> AsyncIterator[LlmAgent]:
    """An agent in a mesh that makes no pauses."""
    agent = llm(server)
    async with Mesh(settings=impatient()) as mesh:
        mesh.add(agent)
        yield agent


async def test_answers_come_in_the_order_of_the_queries(agent: LlmAgent) -> None:
    assert await agent.send_messages_async(QUERIES) == ANSWERS


async def test_any_iterable_of_texts_will_do(agent: LlmAgent) -> None:
    assert await agent.send_messages_async(query for query in QUERIES) == ANSWERS
    assert await agent.send_messages_async([]) == []


async def test_an_agent_without_a_mesh_takes_a_batch_too(server: ModelServer, anyio_backend: str) -> None:
    assert await llm(server).send_messages_async(QUERIES) == ANSWERS


def test_a_script_gets_the_same_list(server: ModelServer) -> None:
    agent = llm(server)

    assert agent.send_messages(QUERIES) == ANSWERS
    assert agent.blocking.send_messages(QUERIES, concurrency=2) == ANSWERS
    assert sorted(answer.text for answer in agent.blocking.as_completed(QUERIES)) == sorted(ANSWERS)


# -- how many at a time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3, DEFAULTS.model_concurrency, 20])
async def test_no_more_queries_are_in_flight_than_the_batch_says(
    concurrency: int, agent: LlmAgent, server: ModelServer
) -> None:
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: agent.send_messages_async(QUERIES, concurrency=concurrency))
        await server.until(lambda: server.in_flight == concurrency)
        server.release()

    assert server.most_in_flight == concurrency


async def test_by_default_they_are_as_many_as_the_agent_takes(agent: LlmAgent, server: ModelServer) -> None:
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.with_concurrency(5).send_messages_async, QUERIES)
        await server.until(lambda: server.in_flight == 5)
        server.release()

    assert server.most_in_flight == 5


async def test_a_wide_batch_leaves_the_agent_as_it_was(agent: LlmAgent) -> None:
    await agent.send_messages_async(QUERIES, concurrency=20)
    with ModelServer() as another:
        agent.with_base_url(another.openai_url)
        another.hold()
        async with anyio.create_task_group() as tasks:
            for query in QUERIES:
                tasks.start_soon(agent.send_message_async, query)
            await another.until(lambda: another.in_flight == DEFAULTS.model_concurrency)
            another.release()

    assert another.most_in_flight == DEFAULTS.model_concurrency


# -- as they come ------------------------------------------------------------------------------------------------------


async def test_answers_come_as_they_are_ready(anyio_backend: str) -> None:
    first, second = anyio.Event(), anyio.Event()
    agent = plays(Step("one", gate=first), Step("two", gate=second), "three")
    order = list[tuple[int, str]]()
    async with Mesh() as mesh:
        mesh.add(agent)
        async for answer in agent.as_completed(["1", "2", "3"]):
            order.append((answer.index, answer.text))
            (second if not second.is_set() else first).set()

    assert [text for _, text in order] == ["three", "two", "one"]


async def test_an_answer_says_to_which_query_and_at_what_cost(anyio_backend: str) -> None:
    agent = plays(Reply(text="four", usage=Usage(input=3, output=1)))

    answers = [answer async for answer in agent.as_completed(["2+2?"])]
    assert answers == [Answer(index=0, query="2+2?", text="four", usage=Usage(input=3, output=1))]


async def test_errors_are_among_the_answers(agent: LlmAgent) -> None:
    answers = {answer.index: answer async for answer in agent.as_completed(["one", "", "three"])}

    assert [answers[index].text for index in range(3)] == ["echo: one", "", "echo: three"]
    assert isinstance(answers[1].error, ValueError)
    assert answers[0].error is None


async def test_leaving_early_ends_what_is_under_way(agent: LlmAgent, server: ModelServer) -> None:
    async with agent.as_completed(QUERIES) as answers:
        await anext(answers)
        server.hold()

    await server.until(lambda: not server.in_flight)
    assert [answer async for answer in answers] == []
    assert server.answered < len(QUERIES)


# -- errors ------------------------------------------------------------------------------------------------------------


async def test_the_first_error_is_raised_and_the_rest_is_cancelled(agent: LlmAgent, server: ModelServer) -> None:
    server.fail(Fault(status=400))
    server.hold()
    async with anyio.create_task_group() as tasks:

        async def release() -> None:
            await server.until(lambda: server.in_flight == DEFAULTS.model_concurrency)
            server.release()

        tasks.start_soon(release)
        with pytest.raises(ModelStatusError, match="HTTP 400"):
            await agent.send_messages_async([*QUERIES] * 10)

    await server.until(lambda: not server.in_flight)
    assert server.answered < 200


async def test_errors_are_put_among_the_answers_if_wanted(agent: LlmAgent, server: ModelServer) -> None:
    good, empty, long, last = await agent.send_messages_async(["hi", "", "x" * 10_000, "bye"], return_exceptions=True)

    assert (good, long, last) == ("echo: hi", "echo: " + "x" * 10_000, "echo: bye")
    assert isinstance(empty, ValueError)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_fault_that_may_pass_is_tried_again(status: int, agent: LlmAgent, server: ModelServer) -> None:
    server.fail(Fault(status=status), Fault(status=status))

    assert await agent.send_messages_async(["hi"]) == ["echo: hi"]
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_one_that_will_not_pass_is_not(status: int, agent: LlmAgent, server: ModelServer) -> None:
    server.fail(Fault(status=status))
    with pytest.raises(ModelError):
        await agent.send_messages_async(["hi"])

    assert len(server.requests) == 1


async def test_there_are_so_many_tries_and_no_more(agent: LlmAgent, server: ModelServer) -> None:
    server.fail(*[Fault(status=503)] * 10)
    for retries in (0, 1, 2):
        with pytest.raises(ModelStatusError, match="HTTP 503"):
            await agent.send_messages_async(["hi"], retries=retries)

    assert len(server.requests) == 1 + 2 + 3


async def test_a_dropped_connection_is_tried_again(agent: LlmAgent, server: ModelServer) -> None:
    server.fail(Fault(reset=True), Fault(cut_at=10))

    assert await agent.send_messages_async(["hi"]) == ["echo: hi"]


async def test_the_server_may_say_when_to_try_again(agent: LlmAgent, server: ModelServer) -> None:
    server.fail(Fault(status=429, headers={"retry-after-ms": "1"}))

    assert await agent.send_messages_async(["hi"]) == ["echo: hi"]


async def test_a_server_that_asks_for_more_than_a_minute_is_not_waited_for(
    agent: LlmAgent, server: ModelServer
) -> None:
    server.fail(Fault(status=429, headers={"retry-after": "61"}))
    with pytest.raises(ModelStatusError, match="HTTP 429"):
        await agent.send_messages_async(["hi"])

    assert len(server.requests) == 1
    assert DEFAULTS.retry_longest_pause == 60.0


async def test_nobody_there_is_tried_again_and_then_said(anyio_backend: str) -> None:
    with ModelServer() as gone:
        agent = llm(gone)
    async with Mesh(settings=impatient()) as mesh:
        mesh.add(agent)
        with pytest.raises(ModelUnavailableError, match="'local::smollm2'"):
            await agent.send_messages_async(["hi"])


async def test_an_error_of_the_caller_s_own_function_is_the_caller_s(agent: LlmAgent, server: ModelServer) -> None:
    def progress(done: int, total: int) -> None:
        raise RuntimeError(f"{done} of {total}")

    with pytest.raises(RuntimeError, match="1 of 20"):
        await agent.send_messages_async(QUERIES, progress=progress)
    await server.until(lambda: not server.in_flight)


# -- progress ----------------------------------------------------------------------------------------------------------


async def test_a_function_is_told_how_far_it_is(agent: LlmAgent) -> None:
    told = list[tuple[int, int]]()
    await agent.send_messages_async(QUERIES, progress=lambda done, total: told.append((done, total)))

    assert told == [(done, 20) for done in range(1, 21)]


def test_a_thread_s_function_runs_in_that_thread(server: ModelServer) -> None:
    import threading  # noqa: PLC0415 – this test's own

    threads = Counter[threading.Thread]()
    llm(server).send_messages(QUERIES, progress=lambda *_: threads.update([threading.current_thread()]))

    assert threads == {threading.current_thread(): 20}


async def test_nothing_is_shown_when_stderr_is_no_terminal(agent: LlmAgent, capsys: pytest.CaptureFixture[str]) -> None:
    await agent.send_messages_async(QUERIES)
    await agent.send_messages_async(QUERIES, progress=False)

    assert capsys.readouterr() == ("", "")


async def test_without_rich_it_is_one_line(
    agent: LlmAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)  # as if it were not installed
    await agent.send_messages_async(QUERIES, progress=True)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("20/20 answered\n")
    assert shown.err.count("\n") == 1


async def test_with_rich_it_is_a_bar(agent: LlmAgent, capsys: pytest.CaptureFixture[str]) -> None:
    await agent.send_messages_async(QUERIES, progress=True)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "answered" in shown.err
    assert "20/20" in shown.err


async def test_on_a_terminal_it_is_shown_without_being_asked_for(
    agent: LlmAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    await agent.send_messages_async(QUERIES)

    assert "20/20 answered" in capsys.readouterr().err


async def test_a_long_batch_does_not_write_a_line_an_answer(
    agent: LlmAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    await agent.send_messages_async([*QUERIES] * 20, progress=True)

    assert capsys.readouterr().err.count("\r") <= 101
