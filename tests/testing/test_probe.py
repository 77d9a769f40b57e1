"""A probe: it keeps what it gets, waits for it on any loop and in threads, and answers."""

import functools
import threading

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio.testing

from ceylon import AskTimeoutError, BlockingMesh, HandlerError, Mesh, MeshClosedError
from ceylon.testing import Probe
from support.core_agents import Ask, Relay
from support.leftovers import eventually


async def test_it_gives_out_what_it_got_in_order(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    for number in range(3):
        await ref.tell(number)

    assert [await probe.receive() for _ in range(3)] == [0, 1, 2]
    assert probe.received == [0, 1, 2]


async def test_it_waits_for_what_has_not_come(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    got: list[object] = []

    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            got.append(await probe.receive())

        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await ref.tell("late")

    assert got == ["late"]


async def test_a_wanted_message_is_taken_from_among_others_which_stay(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    for message in ("a", 1, "b", 22, 3.0):
        await ref.tell(message)

    assert await probe.receive(int) == 1
    assert await probe.receive(lambda message: message in {"b", "c"}) == "b"
    assert await probe.receive((float, bytes)) == 3.0
    assert [await probe.receive(), await probe.receive()] == ["a", 22]


async def test_a_message_that_does_not_come_is_an_error_that_shows_what_did(mesh: Mesh) -> None:
    probe = Probe("shop")
    ref = mesh.add(probe)
    with pytest.raises(AssertionError, match=r"'shop' waited 0.01 s for int; no message came at all"):
        await probe.receive(int, timeout=0.01)
    await ref.tell("tea")
    await ref.tell("milk")
    await probe.receive()

    with pytest.raises(AssertionError, match=r"for int; 2 came: 'tea', 'milk'; not received: 'milk'"):
        await probe.receive(int, timeout=0.01)


async def test_a_question_about_messages_that_raises_is_the_tests_own_error(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    await ref.tell("no number")

    with pytest.raises(TypeError):
        await probe.receive(lambda message: message > 3)
    assert await probe.receive() == "no number"


async def test_nothing_is_expected_and_nothing_comes(mesh: Mesh) -> None:
    probe = Probe()
    mesh.add(probe)

    await probe.expect_nothing(0.01)


async def test_nothing_is_expected_and_something_came_or_comes(mesh: Mesh) -> None:
    probe = Probe("shop")
    ref = mesh.add(probe)
    await ref.tell("before")
    await eventually(lambda: probe.received)
    with pytest.raises(AssertionError, match="'shop' was to get nothing, and got 'before'"):
        await probe.expect_nothing(5)
    assert await probe.receive() == "before"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.tell, "meanwhile")
        with pytest.raises(AssertionError, match="'shop' was to get nothing, and got 'meanwhile'"):
            await probe.expect_nothing(5)
    assert await probe.receive() == "meanwhile"


async def test_a_cancelled_wait_loses_no_message(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    arrived: list[int] = []

    async def wait() -> None:
        arrived.append(await probe.receive())

    for number in range(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            for _ in range(number % 5):
                await anyio.lowlevel.checkpoint()
            ref.tell_nowait(number)
            for _ in range(number // 5):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    await mesh.drain()

    arrived += [await probe.receive() for _ in range(20 - len(arrived))]
    assert sorted(arrived) == list(range(20))


async def test_an_ask_is_answered_by_the_test(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    answers: list[object] = []

    async def ask(number: int) -> None:
        answers.append(await ref.ask(number))

    async with anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(ask, number)
            assert await probe.receive() == number
            probe.reply(number * 10)
            await eventually(lambda: answers[-1:] == [number * 10])  # noqa: B023 – awaited before the next round

    assert answers == [10, 20]


async def test_an_error_is_an_answer_too(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)

    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(HandlerError, match="sold out"):
                await ref.ask("tea")

        tasks.start_soon(ask)
        await probe.receive()
        probe.reply(ValueError("sold out"))


@pytest.mark.parametrize(("answer", "expected"), [("tea", "tea"), (lambda message: message * 2, 6), (None, None)])
async def test_asks_are_answered_as_was_said_before(mesh: Mesh, answer: object, expected: object) -> None:
    ref = mesh.add(Probe().reply_with(answer))

    assert await ref.ask(3) == expected


async def test_an_error_may_be_the_standing_answer(mesh: Mesh) -> None:
    ref = mesh.add(Probe().reply_with(ValueError("sold out")))

    with pytest.raises(HandlerError, match="sold out"):
        await ref.ask("tea")


async def test_a_reply_that_nobody_waits_for_is_an_error(mesh: Mesh) -> None:
    probe = Probe("shop")
    ref = mesh.add(probe)
    await ref.tell("tea")
    await probe.receive()
    with pytest.raises(AskTimeoutError):
        await ref.ask("milk", timeout=0.01)
    await mesh.drain()

    with pytest.raises(AssertionError, match="no ask waits for a reply of 'shop'; 2 came: 'tea', 'milk'"):
        probe.reply("late")


async def test_an_ask_that_waits_keeps_no_other_message_out(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(functools.partial(ref.ask, "waits", timeout=60))
        assert await probe.receive() == "waits"
        await ref.tell("passes")
        assert await probe.receive() == "passes"
        probe.reply()


async def test_a_thread_waits_and_answers(mesh: Mesh) -> None:
    probe = Probe()
    ref = mesh.add(probe)
    asked: list[object] = []

    def play() -> None:
        asked.append(probe.blocking.receive(str))
        probe.reply("from a thread")
        probe.blocking.expect_nothing(0.001)
        with pytest.raises(AssertionError, match=r"waited 0\.001 s"):
            probe.blocking.receive(timeout=0.001)

    thread = threading.Thread(target=play)
    thread.start()
    assert await ref.ask("hello") == "from a thread"
    await anyio.to_thread.run_sync(thread.join)

    assert asked == ["hello"]


async def test_another_loop_waits_and_answers(anyio_backend: str) -> None:
    with BlockingMesh("apart") as mesh:
        probe = Probe()
        ref = mesh.add(probe)
        await probe.ref.tell("over there")
        assert await probe.receive() == "over there"
        with pytest.raises(AssertionError, match=r"waited 0\.01 s"):
            await probe.receive(timeout=0.01)

        answers: list[object] = []

        async def ask() -> None:
            answers.append(await anyio.to_thread.run_sync(ref.ask, "ask"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            assert await probe.receive() == "ask"
            probe.reply("answer")

    assert answers == ["answer"]


async def test_it_stands_at_the_end_of_a_way(mesh: Mesh) -> None:
    mesh.add(Relay("relay"))
    probe = Probe("end").reply_with(lambda message: f"{message}!")
    mesh.add(probe)

    assert await mesh.ask("relay", Ask(("end",), "tea")) == "tea!"
    assert await probe.receive() == "tea"


async def test_without_a_mesh_it_says_so() -> None:
    with pytest.raises(MeshClosedError, match="probe 'lonely' is in none"):
        await Probe("lonely").receive()


def test_under_a_virtual_clock_an_hour_of_nothing_passes_at_once() -> None:
    async def wait_an_hour() -> float:
        async with Mesh("virtual") as mesh:
            probe = Probe()
            mesh.add(probe)
            began = mesh.interior.driver.now()
            await probe.expect_nothing(3600)
            with pytest.raises(AssertionError, match="waited 3600 s"):
                await probe.receive(timeout=3600)
            return mesh.interior.driver.now() - began

    options = {"clock": trio.testing.MockClock(autojump_threshold=0)}

    assert anyio.run(wait_an_hour, backend="trio", backend_options=options) >= 7200
