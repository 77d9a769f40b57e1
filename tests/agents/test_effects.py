"""Actions that change the world: at most once for one call, never cut off half-way, and none after a stop."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ceylon import Agent, CeylonError, LlmAgent, Mesh, ToolCall, action
from ceylon.models.scripted import ScriptedModel
from support.turns import results, wants


class Sender(LlmAgent):
    """Sends letters, each as slowly as a test wants."""

    def _begin(self) -> None:
        super()._begin()
        self.begun: list[str] = []
        self.sent: list[str] = []
        self.has_begun = anyio.Event()
        self.may_end = anyio.Event()

    @action(effect=True)
    async def send(self, text: str) -> str:
        """Send a letter."""
        self.begun.append(text)
        self.has_begun.set()
        await self.may_end.wait()
        self.sent.append(text)
        return f"sent {text}"

    @action
    async def wait(self) -> str:
        """Wait for ever."""
        self.begun.append("wait")
        await anyio.sleep_forever()
        return ""


def sender(*steps: Any, is_quick: bool = True) -> Sender:
    agent = Sender("sender", ScriptedModel(steps))
    if is_quick:
        agent.may_end.set()
    return agent


def send(number: str, text: str) -> ToolCall:
    return ToolCall(number, "send", {"text": text})


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not is_so():
            await anyio.lowlevel.checkpoint()


async def test_the_same_call_twice_in_one_answer_runs_once(mesh: Mesh) -> None:
    agent = sender(wants(send("a", "hello"), send("a", "hello")), "done")
    mesh.add(agent)
    reply = await agent.complete("send")

    assert agent.sent == ["hello"]
    assert (agent.calls.called, agent.calls.repeated) == (1, 1)
    assert len({result.id for result in reply.turns[1].results}) == 2


async def test_the_same_call_again_later_in_the_turn_is_told_how_it_ended(mesh: Mesh) -> None:
    agent = sender(wants(send("a", "hello")), wants(send("a", "hello")), "done")
    mesh.add(agent)
    reply = await agent.complete("send")

    assert agent.sent == ["hello"]
    assert results(reply) == ["sent hello", "sent hello"]


async def test_a_used_id_with_other_arguments_is_refused(mesh: Mesh) -> None:
    agent = sender(wants(send("a", "hello")), wants(send("a", "world")), "done")
    mesh.add(agent)
    reply = await agent.complete("send")

    assert agent.sent == ["hello"]
    assert results(reply)[1] == "not called: this id has been used"


async def test_calls_without_an_id_are_calls_of_their_own(mesh: Mesh) -> None:
    agent = sender(wants(send("", "hello"), send("", "hello")), wants(send("", "hello")), "done")
    mesh.add(agent)
    reply = await agent.complete("send")

    assert agent.sent == ["hello"] * 3
    assert len({result.id for turn in reply.turns for result in turn.results}) == 3


async def test_the_same_id_in_the_next_turn_is_another_call(mesh: Mesh) -> None:
    agent = sender(wants(send("a", "hello")), "done", wants(send("a", "hello")), "done")
    mesh.add(agent)
    await agent.complete("send")
    await agent.complete("send")

    assert agent.sent == ["hello", "hello"]


async def test_an_effect_under_way_ends_although_whoever_asked_has_left_and_no_other_begins(mesh: Mesh) -> None:
    agent = sender(wants(send("a", "hello"), ToolCall("b", "wait")), wants(send("c", "world")), "done", is_quick=False)
    mesh.add(agent)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.complete, "send")
        await until(lambda: len(agent.begun) == 2)
        tasks.cancel_scope.cancel()
    agent.may_end.set()
    await until(lambda: not mesh.statistics().agents["sender"].pending)

    assert agent.sent == ["hello"]
    assert mesh.statistics().agents["sender"].cancelled == 1


class Post(Agent):
    """Sends letters for others."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sent: list[str] = []
        self.has_begun, self.may_end = anyio.Event(), anyio.Event()

    @action(effect=True)
    async def send(self, text: str) -> None:
        """Send a letter."""
        self.has_begun.set()
        await self.may_end.wait()
        self.sent.append(text)


async def test_an_effect_over_the_mesh_ends_although_its_asker_has_left_and_is_counted_as_completed(mesh: Mesh) -> None:
    post = Post("post")
    ref = mesh.add(post)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: ref.call("send", text="hello"))
        await post.has_begun.wait()
        tasks.start_soon(lambda: ref.call("send", text="never begun"))
        await until(lambda: mesh.statistics().agents["post"].pending == 2)
        tasks.cancel_scope.cancel()
    post.may_end.set()
    await until(lambda: not mesh.statistics().agents["post"].pending)

    assert post.sent == ["hello"]
    counted = mesh.statistics().agents["post"]
    assert (counted.completed, counted.cancelled) == (1, 1)


async def test_an_effect_of_another_agent_ends_too_although_the_turn_that_called_it_has_not(mesh: Mesh) -> None:
    post = Post("post")
    caller = LlmAgent("caller", ScriptedModel([wants(send("a", "hello")), "done"]), tools=[mesh.add(post)])
    mesh.add(caller)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller.complete, "send")
        await post.has_begun.wait()
        tasks.cancel_scope.cancel()
    await until(lambda: not mesh.statistics().agents["caller"].pending)  # it does not wait for it
    post.may_end.set()
    await until(lambda: not mesh.statistics().agents["post"].pending)

    assert post.sent == ["hello"]


@pytest.mark.parametrize("stopped", ["sender", None])
async def test_after_a_stop_in_the_middle_of_a_loop_no_further_effect_begins(
    anyio_backend: str, stopped: str | None
) -> None:
    agent = sender(*(wants(send(str(number), f"letter {number}")) for number in range(20)), is_quick=False)
    async with Mesh() as mesh:
        ref = mesh.add(agent)
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                with pytest.raises(CeylonError):
                    await ref.ask("send them all")

            tasks.start_soon(run)
            await agent.has_begun.wait()
            tasks.start_soon(lambda: mesh.stop(stopped, at_once=True))
            await until(lambda: not _takes_mail(mesh))
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            agent.may_end.set()

    assert agent.begun == ["letter 0"]
    assert agent.sent == ["letter 0"]


def _takes_mail(mesh: Mesh) -> bool:
    found = mesh.statistics().agents.get("sender")
    return found is not None and found.state == "running"
