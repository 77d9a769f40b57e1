"""The default mesh: a private place for agents that have no other, for as long as somebody holds them."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio

from ceylon import AgentInUseError, AgentStoppedError, LlmAgent, Mesh, MeshClosedError, default_mesh
from ceylon.testing.model_server import ModelServer
from support.leftovers import eventually, wait_until, wait_until_collected
from support.llm import CountingModel, llm, plays


def addresses(name: str) -> list[str]:
    return [address for address in default_mesh().agents if address.startswith(f"{name}$")]


def test_an_agent_without_a_mesh_has_a_private_address_there() -> None:
    one, two = plays("1", name="private"), plays("2", name="private")
    assert (one.send_message("hi"), two.send_message("hi")) == ("1", "2")

    assert len(addresses("private")) == 2
    assert all(address.partition("$")[2].isdigit() for address in addresses("private"))
    assert one.ref.address != two.ref.address


def test_it_joins_at_its_first_use_and_once() -> None:
    agent = plays("1", "2", name="once")
    assert not addresses("once")
    agent.send_message("hi")
    agent.send_message("hi")

    assert len(addresses("once")) == 1


async def test_many_first_uses_at_once_are_one_joining(server: ModelServer, anyio_backend: str) -> None:
    name = f"crowd-{anyio_backend}"  # the one before may still be leaving
    agent = llm(server, name)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(agent.send_message_async, str(number))

    assert len(addresses(name)) == 1


def test_one_agent_serves_loops_of_all_kinds_in_turn(server: ModelServer) -> None:
    agent = llm(server)

    async def ask() -> str:
        return await agent.send_message_async("hi")

    assert [asyncio.run(ask()), trio.run(ask), asyncio.run(ask()), agent.send_message("hi")] == ["echo: hi"] * 4


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_it_leaves_when_the_last_reference_is_gone() -> None:
    model = CountingModel("hello")
    agent = LlmAgent("brief", model)
    agent.send_message("hi")
    assert addresses("brief")
    del agent

    wait_until_collected(lambda: not addresses("brief"))
    assert model.opened == 1


def test_also_one_that_is_part_of_a_cycle() -> None:
    agent: Any = plays("hello", name="cyclic")
    agent.send_message("hi")
    agent.myself = agent
    del agent

    wait_until_collected(lambda: not addresses("cyclic"))


def test_also_after_a_failed_query() -> None:
    agent = plays(ValueError("oh"), name="failed")
    with pytest.raises(ValueError, match="oh"):
        agent.send_message("hi")
    del agent

    wait_until_collected(lambda: not addresses("failed"))


@pytest.mark.parametrize(
    "handle",
    [
        lambda agent: agent.conversation("alice"),
        lambda agent: agent.blocking,
        lambda agent: agent.blocking.conversation("alice"),
        lambda agent: agent.stream("hi"),
        lambda agent: agent.blocking.stream("hi"),
        lambda agent: agent.as_completed(["hi"]),
        lambda agent: agent.send_message,
    ],
)
def test_a_handle_on_it_is_a_reference(handle: Callable[[LlmAgent], Any]) -> None:
    agent = plays("hello", name="held")
    agent.send_message("hi")
    held, gone = handle(agent), weakref.ref(agent)
    del agent
    gc.collect()
    assert gone() is not None
    assert len(addresses("held")) == 1

    del held
    wait_until_collected(lambda: not addresses("held"))


async def test_a_stream_under_way_holds_it(server: ModelServer, anyio_backend: str) -> None:
    story = llm(server, "streaming").stream("a story")
    first = await anext(story)
    gc.collect()

    assert first + "".join([delta async for delta in story]) == "echo: a story"


async def test_a_query_under_way_holds_it(server: ModelServer, anyio_backend: str) -> None:
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(llm(server, "querying").send_message_async, "hi")
        await server.until(lambda: server.in_flight == 1)
        gc.collect()
        server.release()

    assert server.answered == 1


def test_a_ref_is_no_reference_and_says_so() -> None:
    agent = plays("hello", name="left")
    agent.send_message("hi")
    ref = agent.ref.blocking
    del agent
    wait_until_collected(lambda: not addresses("left"))

    with pytest.raises(LookupError, match=r"no agent at 'left\$"):
        ref.ask("hi")


def test_a_thousand_agents_come_and_go() -> None:
    for _ in range(1_000):
        plays("hello", name="passing").send_message("hi")
    gc.collect()

    wait_until_collected(lambda: not addresses("passing"))


# -- moving ------------------------------------------------------------------------------------------------------------


async def test_a_mesh_takes_over_an_agent_that_only_the_default_mesh_has(anyio_backend: str) -> None:
    agent = plays("at home", "moved", name="mover")
    assert await agent.send_message_async("hi") == "at home"
    async with Mesh("market") as mesh:
        mesh.add(agent)
        assert await mesh.ask("mover", "hi") == "moved"

        assert agent.ref.address == "mover"
        await eventually(lambda: not addresses("mover"))


async def test_queries_under_way_end_where_they_began(server: ModelServer, anyio_backend: str) -> None:
    agent, answers = llm(server, "mover", concurrency=1), list[str]()

    async def query(text: str) -> None:
        try:
            answers.append(await agent.send_message_async(text))
        except AgentStoppedError as error:
            answers.append(type(error).__name__)

    server.hold()
    async with Mesh("market") as mesh, anyio.create_task_group() as tasks:
        tasks.start_soon(query, "under way")
        await server.until(lambda: server.in_flight == 1)
        mesh.add(agent)
        tasks.start_soon(query, "in the mesh")
        await server.until(lambda: server.in_flight == 2)
        server.release()

    assert sorted(answers) == ["echo: in the mesh", "echo: under way"]


async def test_it_comes_back_when_that_mesh_has_closed(anyio_backend: str) -> None:
    agent = plays("there", "back", name="returning")
    async with Mesh("market") as mesh:
        mesh.add(agent)
        await agent.send_message_async("hi")

    assert await agent.send_message_async("hi") == "back"
    assert len(addresses("returning")) == 1


async def test_a_mesh_that_refuses_it_leaves_it_where_it_was(anyio_backend: str) -> None:
    agent = plays("1", "2", name="twin")
    await agent.send_message_async("hi")
    async with Mesh("market") as mesh:
        mesh.add(plays(name="twin"))
        with pytest.raises(ValueError, match="already has an agent 'twin'"):
            mesh.add(agent)
        assert await agent.send_message_async("hi") == "2"


async def test_what_a_user_mesh_has_is_not_taken_by_the_default_one(anyio_backend: str) -> None:
    agent = plays("hello", name="settled")
    async with Mesh("market") as mesh:
        mesh.add(agent)
        with pytest.raises(AgentInUseError, match="mesh 'market'"):
            default_mesh().add(agent)
        await agent.send_message_async("hi")

        assert not addresses("settled")


def test_an_agent_may_be_added_to_the_default_mesh_under_its_own_name() -> None:
    agent = plays("private", "public", name="public")
    agent.send_message("hi")
    public = default_mesh().add(agent)
    try:
        assert public.ask("hi") == "public"
        assert default_mesh().agent("public") is agent
        wait_until(lambda: not addresses("public"))
    finally:
        default_mesh().stop("public")


def test_the_mesh_shows_the_agent_itself() -> None:
    agent = plays("hello", name="shown")
    agent.send_message("hi")

    assert default_mesh().agent(agent.ref.address) is agent


# -- the process -------------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_both_processes_go_on(server: ModelServer) -> None:
    program = """
        import os, sys
        from ceylon import BlockingMesh, LlmAgent, MeshClosedError, default_mesh

        def agent(name):
            return LlmAgent(name, "openai::test-model", base_url=sys.argv[1], api_key="sk-none")

        tutor, settled = agent("tutor"), agent("settled")
        assert tutor.send_message("before") == "echo: before"
        chat = tutor.blocking.conversation("alice")
        chat.send("hi")
        market = BlockingMesh("market").start()
        market.add(settled)
        child = os.fork()
        if child == 0:
            try:
                assert tutor.send_message("in the child") == "echo: in the child"
                assert len(chat.history()) == 2
                assert agent("fresh").send_message("fresh") == "echo: fresh"
                try:
                    settled.send_message("hi")
                except MeshClosedError as error:
                    assert "fork" in str(error), error
                else:
                    os._exit(3)
                sys.stdout.write("the child is well\\n")
                sys.stdout.flush()
                default_mesh().stop()
                os._exit(0)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert tutor.send_message("after") == "echo: after"
        assert settled.send_message("after") == "echo: after"
        market.stop()
    """
    done = run(program, server.openai_url)

    assert done == "the child is well\n"


@pytest.mark.process
def test_a_process_that_exits_in_the_middle_ends_soon_and_quietly(server: ModelServer) -> None:
    program = """
        import sys, threading
        from ceylon import LlmAgent
        tutor = LlmAgent("tutor", "openai::test-model", base_url=sys.argv[1], api_key="sk-none")
        asking = threading.Thread(target=lambda: sys.stdout.write(tutor.send_message("hi") + "\\n"))
        asking.start()
        asking.join()
    """
    assert run(program, server.openai_url) == "echo: hi\n"


@pytest.mark.process
def test_at_exit_it_is_too_late_for_a_query(server: ModelServer) -> None:
    program = """
        import atexit, sys
        from ceylon import LlmAgent, MeshClosedError
        tutor = LlmAgent("tutor", "openai::test-model", base_url=sys.argv[1], api_key="sk-none")

        @atexit.register
        def ask():
            try:
                tutor.send_message("too late")
            except MeshClosedError as error:
                print(error)

        tutor.send_message("hi")
    """
    assert run(program, server.openai_url) == "mesh 'default' takes no messages: the interpreter is exiting\n"


@pytest.mark.process
def test_who_first_asks_for_it_at_exit_hears_the_same() -> None:
    program = """
        import threading
        import ceylon

        def ask():
            threading.main_thread().join()
            while not threading._SHUTTING_DOWN:
                pass
            try:
                ceylon.default_mesh()
            except ceylon.MeshClosedError as error:
                print(error)

        threading.Thread(target=ask).start()
    """
    assert run(program) == "mesh 'default' takes no messages: the interpreter is exiting\n"


def run(program: str, *arguments: str) -> str:
    """Run *program* in an interpreter of its own; return what it says, and fail if it complains."""
    done = subprocess.run(  # noqa: S603 – our own
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_default_mesh_that_was_stopped_is_followed_by_another() -> None:
    agent = plays("one", "two", name="stubborn")
    agent.send_message("hi")
    default_mesh().stop()

    assert agent.send_message("hi") == "two"
    assert default_mesh().is_open


def test_threads_may_use_it_all_at_once(server: ModelServer) -> None:
    agent, answers = llm(server, "shared"), list[str]()
    threads = [
        threading.Thread(target=lambda number=number: answers.append(agent.send_message(f"{number}")))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == sorted(f"echo: {number}" for number in range(20))
    assert len(addresses("shared")) == 1


def test_an_agent_in_no_mesh_has_no_ref_yet() -> None:
    with pytest.raises(MeshClosedError, match="is in none; add it to one first"):
        _ = plays(name="nowhere").ref
