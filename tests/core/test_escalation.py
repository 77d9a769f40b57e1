"""Failures that an agent does not keep to itself: its parent answers for it, up to the top, and nothing is lost."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from ceylon import Agent, AgentStartError, Context, HandlerError, Mesh, Message, on
from ceylon.core.ports import Directive, OnFailure
from ceylon.errors import AgentStoppedError
from ceylon.messages import Envelope
from support.leftovers import DEADLINE, eventually, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh(backoff_first=0.0, restarts=2) as mesh:
        yield mesh


class Explode(Message[None], tag="escalation.explode"):
    """Fail with *word*."""

    word: str = "boom"


class Child(Agent):
    """Fails, and escalates unless it was made otherwise."""

    def __init__(self, name: str, diary: list[Any], on_failure: OnFailure = "escalate") -> None:
        super().__init__(name)
        self.diary = diary
        self.on_failure = on_failure

    async def on_start(self) -> None:
        self.diary.append(f"+{self.name}")

    async def on_stop(self) -> None:
        self.diary.append(f"-{self.name}")

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError(explode.word)

    async def on_message(self, message: Any) -> Any:
        return message


class Parent(Child):
    """Has a child, which is made by a function."""

    def __init__(self, name: str, diary: list[Any], on_failure: OnFailure, make: Any) -> None:
        super().__init__(name, diary, on_failure)
        self.make = make

    async def on_start(self, context: Context) -> None:  # type: ignore[override]
        await super().on_start()
        context.spawn(self.make())


async def _family(mesh: Mesh, answer: OnFailure, child: OnFailure = "escalate") -> list[Any]:
    """Add a parent with that answer to its child's failure, and wait until both are there."""
    diary: list[Any] = []
    mesh.add(Parent("parent", diary, answer, lambda: Child("child", diary, child)))
    await mesh.ask("parent", "hello")
    await mesh.ask("child", "hello")
    return diary


# -- what the parent answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "story", "there"),
    [
        ("resume", ["-child"], ["parent"]),
        ("restart", ["-child", "-parent", "+parent", "+child"], ["parent", "child"]),
        ("stop", ["-child", "-parent"], []),
        ("escalate", ["-child", "-parent"], []),
    ],
)
async def test_the_parent_answers_for_a_child_that_escalates(
    answer: Directive, story: list[str], there: list[str], mesh: Mesh
) -> None:
    diary = await _family(mesh, answer)

    await mesh.tell("child", Explode())
    await eventually(lambda: diary[2:] == story)
    await eventually(lambda: mesh.agents == there)

    for name in there:
        assert await mesh.ask(name, "hello") == "hello"
    statistics = mesh.statistics()
    assert [statistics.agents[name].restarts for name in there] == [int(answer == "restart"), 0][: len(there)]


async def test_the_parents_function_sees_the_childs_error_and_message(mesh: Mesh) -> None:
    seen: list[Any] = []

    def answer(error: BaseException, envelope: Envelope) -> Directive:
        seen.append((type(error), str(error), envelope.recipient, envelope.message))
        return "resume"

    await _family(mesh, answer)
    await mesh.tell("child", Explode("bang"))
    await eventually(lambda: seen)

    assert seen == [(ValueError, "bang", "child", Explode("bang"))]


@pytest.mark.parametrize("levels", [1, 2, 5])
async def test_a_failure_goes_up_until_somebody_answers(levels: int, mesh: Mesh) -> None:
    diary: list[Any] = []

    def make(level: int) -> Child:
        if not level:
            return Child("level0", diary)
        answer: Directive = "resume" if level == levels else "escalate"
        return Parent(f"level{level}", diary, answer, lambda: make(level - 1))

    mesh.add(make(levels))
    await eventually(lambda: "+level0" in diary)
    await mesh.tell("level0", Explode())
    await eventually(lambda: mesh.agents == [f"level{levels}"])

    assert diary[levels + 1 :] == [f"-level{level}" for level in range(levels)]


async def test_above_the_topmost_agent_the_answer_is_that_it_is_gone(mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(Child("top", diary))
    other = mesh.add(Child("other", []))
    await mesh.ask("top", "hello")
    mesh.tell_nowait("top", Explode())
    for number in range(3):
        mesh.tell_nowait("top", number)

    await eventually(lambda: mesh.agents == ["other"])

    assert diary == ["+top", "-top"]
    assert mesh.statistics().dead_letters == {"handler_failed": 1, "agent_failed": 3}
    assert await other.ask("hello") == "hello"


# -- what goes up ------------------------------------------------------------------------------------------------------


async def test_a_child_that_began_again_too_often_is_its_parents_failure(mesh: Mesh) -> None:
    diary = await _family(mesh, "restart", child="restart")

    for _ in range(3):
        mesh.tell_nowait("child", Explode())
    await eventually(lambda: "+parent" in diary[2:])
    assert await mesh.ask("parent", "hello") == "hello"
    await eventually(lambda: diary[-1] == "+child")

    assert diary[2:] == ["-child", "+child", "-child", "+child", "-child", "-parent", "+parent", "+child"]


async def test_so_is_one_that_cannot_start(mesh: Mesh) -> None:
    seen: list[Any] = []

    def answer(error: BaseException, envelope: Envelope) -> Directive:
        seen.append((str(error), envelope.recipient, envelope.message))
        return "resume"

    class Unable(Child):
        async def on_start(self) -> None:
            self.diary.append("trying")
            raise OSError("no such file")

    diary: list[Any] = []
    mesh.add(Parent("parent", diary, answer, lambda: Unable("unable", diary)))
    with pytest.raises(AgentStartError, match="no such file"):
        await mesh.ask("parent", "hello")
        await mesh.ask("unable", "hello")
    await eventually(lambda: seen)

    assert seen == [("no such file", "unable", None)]
    assert diary == ["+parent", "trying", "trying", "trying"]
    assert mesh.agents == ["parent"]


async def test_so_is_one_that_cannot_be_made_again(mesh: Mesh) -> None:
    class Once(Child):
        made = 0

        def __init__(self, name: str, diary: list[Any], on_failure: OnFailure) -> None:
            super().__init__(name, diary, on_failure)
            Once.made += 1
            if Once.made % 2 == 0:
                raise OSError("only once")

    diary: list[Any] = []
    mesh.add(Parent("parent", diary, "stop", lambda: Once("once", diary, "restart")))
    await mesh.ask("parent", "hello")
    await mesh.tell("once", Explode())

    await eventually(lambda: mesh.agents == [])

    assert diary == ["+parent", "+once", "-once", "-parent"]


async def test_a_child_that_stops_by_its_own_directive_is_nobodys_failure(mesh: Mesh) -> None:
    diary = await _family(mesh, "stop", child="stop")

    await mesh.tell("child", Explode())
    await eventually(lambda: mesh.agents == ["parent"])

    assert await mesh.ask("parent", "hello") == "hello"
    assert diary == ["+parent", "+child", "-child"]


async def test_a_child_may_fail_while_its_parent_starts(mesh: Mesh) -> None:
    class Waiting(Parent):
        async def on_start(self, context: Context) -> None:  # type: ignore[override]
            await super().on_start(context)
            if self.diary.count("+parent") == 1:
                with pytest.raises(HandlerError):
                    await context.ask("child", Explode())
                try:
                    await anyio.sleep_forever()
                finally:
                    self.diary.append("cut off")

    diary: list[Any] = []
    mesh.add(Waiting("parent", diary, "restart", lambda: Child("child", diary)))

    assert await mesh.ask("parent", "hello") == "hello"
    assert await mesh.ask("child", "hello") == "hello"

    assert diary == ["+parent", "+child", "-child", "cut off", "-parent", "+parent", "+child"]
    assert mesh.statistics().agents["parent"].restarts == 1


# -- the poison message ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directive", ["restart", "stop", "escalate"])
@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_the_message_that_did_it_is_kept(directive: Directive, how: str, mesh: Mesh) -> None:
    await _family(mesh, "resume", child=directive)

    if how == "tell":
        await mesh.tell("child", Explode("poison"))
    else:
        with pytest.raises(HandlerError, match="poison"):
            await mesh.ask("child", Explode("poison"))
    await eventually(mesh.dead_letters)

    (letter,) = mesh.dead_letters()
    assert (letter.envelope.message, letter.reason) == (Explode("poison"), "handler_failed")
    assert "poison" in letter.detail


async def test_of_an_ask_that_an_agent_survives_no_copy_is_kept(mesh: Mesh) -> None:
    mesh.add(Child("child", [], "resume"))

    with pytest.raises(HandlerError):
        await mesh.ask("child", Explode())

    assert mesh.dead_letters() == []


async def test_behind_a_poison_message_none_is_lost(mesh: Mesh) -> None:
    class Keeping(Child):
        async def on_message(self, message: Any) -> Any:
            self.diary.append(message)
            return message

    diary: list[Any] = []
    mesh.add(Keeping("child", diary, "restart"))
    mesh.tell_nowait("child", Explode("poison"))
    for number in range(500):
        mesh.tell_nowait("child", number)
    await mesh.ask("child", "last")

    assert [entry for entry in diary if isinstance(entry, int)] == list(range(500))
    assert [letter.envelope.message for letter in mesh.dead_letters()] == [Explode("poison")]


async def test_what_waits_behind_the_last_straw_becomes_dead_letters(mesh: Mesh) -> None:
    await _family(mesh, "resume", child="escalate")
    mesh.tell_nowait("child", Explode())
    for number in range(10):
        mesh.tell_nowait("child", number)

    with pytest.raises(AgentStoppedError):
        await mesh.ask("child", "last")
    await eventually(lambda: mesh.agents == ["parent"])

    assert mesh.statistics().dead_letters == {"handler_failed": 1, "agent_failed": 11}


async def test_a_parent_that_goes_on_after_a_childs_stuck_thread_keeps_its_own_state() -> None:
    gate = threading.Event()

    class Stuck(Agent):
        on_failure = "escalate"
        handler_timeout = 0.05

        def on_message(self, message: str) -> None:
            assert gate.wait(DEADLINE)

    class Calm(Agent):
        starts = 0

        async def on_start(self, context: Context) -> None:
            type(self).starts += 1
            context.spawn(Stuck("stuck"))

        async def on_message(self, message: str) -> int:
            return self.starts

    async with tidy_mesh() as mesh:
        calm = mesh.add(Calm("calm"))
        assert await calm.ask("how often?") == 1

        await mesh.tell("stuck", "hang")
        await eventually(lambda: "stuck" not in mesh.agents)

        assert await calm.ask("how often?") == 1  # it was the child's thread, not the parent's
        gate.set()
