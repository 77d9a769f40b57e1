"""Each checker passes a history that is right and turns red on each way of being wrong."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ceylon import Agent, Mesh, Message
from ceylon.testing import (
    Event,
    History,
    Leftovers,
    What,
    asks_resolved,
    check,
    conservation,
    effects_once,
    fifo,
    nothing_leaked,
    one_at_a_time,
)


def history_of(*steps: tuple[What, int, dict[str, Any]]) -> History:
    """Return a history of *steps*; a sender and a recipient are there unless a step says otherwise."""
    history = History()
    for what, number, facts in steps:
        about = {"kind": "tell", "sender": "a", "recipient": "b", "message": "int", **facts}
        history.add(what, at=float(len(history)), id=number, **about)
    return history


def accepted(number: int, **facts: Any) -> tuple[What, int, dict[str, Any]]:
    return What.ACCEPTED, number, facts


def began(number: int, **facts: Any) -> tuple[What, int, dict[str, Any]]:
    return What.BEGAN, number, facts


def ended(number: int, detail: str = "completed", **facts: Any) -> tuple[What, int, dict[str, Any]]:
    return What.ENDED, number, {"detail": detail, **facts}


def asked(number: int, **facts: Any) -> tuple[What, int, dict[str, Any]]:
    return What.ASKED, number, {"kind": "ask", **facts}


def resolved(number: int, detail: str = "reply", **facts: Any) -> tuple[What, int, dict[str, Any]]:
    return What.RESOLVED, number, {"kind": "ask", "detail": detail, **facts}


# -- conservation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["completed", "failed", "dead_lettered", "expired", "cancelled"])
def test_an_envelope_that_ends_once_is_fine(how: str) -> None:
    assert conservation(history_of(accepted(1), began(1), ended(1, how))) == []


def test_an_envelope_that_is_still_pending_is_fine() -> None:
    assert conservation(history_of(accepted(1), began(1))) == []


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (history_of(accepted(1), accepted(1)), "#1 from a to b, int, was accepted 2 times"),
        (history_of(accepted(1), ended(1), ended(1, "failed")), "#1 .* ended 2 times, at last as failed"),
        (history_of(ended(1)), "#1 .* ended without having been accepted"),
        (history_of(began(1)), "#1 .* was begun without having been accepted"),
        (history_of(accepted(1), ended(1), began(1)), "#1 .* was begun after it had ended"),
        (history_of(accepted(1), ended(1, "lost")), "#1 .* ended as 'lost', which is none of completed"),
        (history_of(accepted(1), (What.REFUSED, 1, {})), "#1 .* was accepted and refused"),
    ],
)
def test_what_is_not_conserved_is_named(history: History, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(history)


def test_an_envelope_that_a_fault_has_duplicated_may_end_twice() -> None:
    twice = (accepted(1), accepted(1), ended(1), ended(1))

    assert conservation(history_of((What.FAULT, 1, {"detail": "duplicate"}), *twice)) == []
    assert conservation(history_of(*twice)) != []


class Sink(Agent):
    async def on_message(self, message: object) -> object:
        return message


async def test_a_history_and_the_statistics_of_its_mesh_agree_or_it_is_said() -> None:
    async with Mesh("counted") as mesh:
        sink = mesh.add(Sink("b"))
        await sink.ask(1)
        await sink.ask(2)
        statistics = mesh.statistics()
    whole = (accepted(1), ended(1), accepted(2), ended(2))

    assert conservation(history_of(*whole), statistics) == []
    assert conservation(history_of(*whole[:-1]), statistics) == [
        "agent 'b' counts 2 envelopes as completed, its history 1",
        "the mesh counts 2 envelopes as completed, its history 1",
        "the mesh counts 0 envelopes as pending, its history 1",
    ]


async def test_the_sum_is_compared_when_the_agents_are_gone() -> None:
    async with Mesh("counted") as mesh:
        await mesh.add(Sink("b")).ask(1)
    stopped = (What.STOPPED, 0, {"sender": ""})

    assert conservation(history_of(accepted(1), ended(1), stopped), mesh.statistics()) == []
    assert conservation(history_of(accepted(1), stopped), mesh.statistics()) == [
        "the mesh counts 1 envelopes as completed, its history 0",
        "the mesh counts 0 envelopes as pending, its history 1",
    ]


# -- order -------------------------------------------------------------------------------------------------------------


def test_one_sender_is_served_in_order_and_two_in_any() -> None:
    in_order = (accepted(1), accepted(2), accepted(3, sender="c"), began(3, sender="c"), began(1), began(2))

    assert fifo(history_of(*in_order)) == []


def test_an_envelope_that_never_began_keeps_no_place() -> None:
    assert fifo(history_of(accepted(1), accepted(2), ended(1, "expired"), began(2))) == []


def test_conversations_of_one_agent_overtake_each_other() -> None:
    alice, bob = {"recipient": "b/alice"}, {"recipient": "b/bob"}

    assert fifo(history_of(accepted(1, **alice), accepted(2, **bob), began(2, **bob), began(1, **alice))) == []
    assert fifo(history_of(accepted(1, **alice), accepted(2, **alice), began(2, **alice), began(1, **alice))) != []


def test_overtaking_is_named() -> None:
    assert fifo(history_of(accepted(4), accepted(7), began(7), began(4))) == [
        "envelope #7 from a to b, int, overtook #4, which had been accepted before it"
    ]


RETURNING = (
    accepted(1, sender="", recipient="b"),
    began(1, sender="", recipient="b"),
    accepted(2, kind="ask", sender="b", recipient="a", parent=1),
    accepted(3, sender="a", recipient="b"),
    began(2, kind="ask", sender="b", recipient="a", parent=1),
)


def test_an_ask_that_comes_back_to_its_own_chain_may_overtake_and_have_the_waiting_slot() -> None:
    back: dict[str, Any] = {"kind": "ask", "sender": "a", "recipient": "b", "parent": 2}
    history = history_of(
        *RETURNING,
        accepted(4, **back), began(4, **back), ended(4, **back),
        ended(2, sender="b", recipient="a"), ended(1, sender="", recipient="b"), began(3),
    )  # fmt: skip

    assert fifo(history) == []
    assert one_at_a_time(history) == []


def test_a_tell_that_comes_back_has_no_such_right() -> None:
    back = {"kind": "tell", "sender": "a", "recipient": "b", "parent": 2}
    history = history_of(*RETURNING, accepted(4, **back), began(4, **back), began(3))

    assert fifo(history) == ["envelope #4 from a to b, int, overtook #3, which had been accepted before it"]
    assert len(one_at_a_time(history)) == 2


def test_two_at_once_are_named_and_slots_allow_them() -> None:
    history = history_of(accepted(1), accepted(2), began(1), began(2), ended(1), ended(2))

    assert one_at_a_time(history) == ["envelope #2 from a to b, int, was begun beside #1; 'b' has 1 slot"]
    assert one_at_a_time(history, {"b": 2}) == []
    assert one_at_a_time(history_of(*[began(number) for number in (1, 2, 3)]), {"b": 2}) == [
        "envelope #3 from a to b, int, was begun beside #1, #2; 'b' has 2 slots"
    ]


def test_what_threads_report_late_is_no_overlap_but_a_thread_beside_the_loop_is() -> None:
    threaded = {"detail": "threaded"}

    assert one_at_a_time(history_of(began(1, **threaded), began(2, **threaded))) == []
    assert one_at_a_time(history_of(began(1, **threaded), began(2))) != []


# -- outcomes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detail", ["reply", "HandlerError", "AskTimeoutError", "cancelled"])
def test_an_ask_with_one_outcome_is_fine(detail: str) -> None:
    assert asks_resolved(history_of(asked(1), accepted(1), resolved(1, detail), ended(1))) == []


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (history_of(asked(1), accepted(1), ended(1)), "#1 .* was asked and never had an outcome"),
        (history_of(asked(1), resolved(1), resolved(1, "AskTimeoutError")), "#1 .* a second outcome: AskTimeoutError"),
        (history_of(resolved(1)), "#1 .* had an outcome without having been asked: reply"),
        (history_of(asked(1), asked(1), resolved(1)), "#1 .* was asked twice"),
        (history_of(asked(1), (What.LATE, 1, {}), resolved(1)), "#1 .* was answered, and its asker still waits"),
        (history_of(asked(1), accepted(1), ended(1), resolved(1, "AskTimeoutError")), "#1 .* the reply was lost"),
    ],
)
def test_an_ask_without_its_one_outcome_is_named(history: History, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(history)


def test_a_late_reply_is_fine_when_nobody_waits() -> None:
    late: tuple[What, int, dict[str, Any]] = (What.LATE, 1, {})

    assert asks_resolved(history_of(asked(1), resolved(1, "AskTimeoutError"), late, ended(1))) == []


def test_effects_happen_once() -> None:
    assert effects_once(["a", ("b", 1)]) == []
    assert effects_once(["a", ("b", 1), ("b", 1), ("b", 1)]) == ["effect ('b', 1) happened 3 times"]
    with pytest.raises(AssertionError, match="effect 'a' happened 2 times"):
        check(History(), effects=["a", "a"])


def test_all_violations_are_raised_at_once() -> None:
    history = history_of(accepted(1), accepted(2), asked(2), began(2), began(1))

    with pytest.raises(AssertionError) as raised:
        check(history)

    assert [line.partition(",")[0] for line in str(raised.value).splitlines()] == [
        "envelope #2 from a to b", "envelope #1 from a to b", "envelope #2 from a to b",
    ]  # fmt: skip


# -- leftovers ---------------------------------------------------------------------------------------------------------

NOTHING = Leftovers(sockets=frozenset())


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        ({"threads": {"ceylon test 1": 2}}, "thread 'ceylon test 1' is still there, 2 times"),
        ({"tasks": {"ceylon worker": 1}}, "task 'ceylon worker' is still there"),
        ({"timers": 3}, "3 timers are still armed"),
        ({"sockets": frozenset({"socket:[4711]"})}, "socket:[4711] is still open"),
    ],
)
def test_whatever_is_left_is_named(left: dict[str, Any], sentence: str) -> None:
    after = msgspec.structs.replace(NOTHING, **left)

    assert nothing_leaked(NOTHING, after) == [sentence]
    assert nothing_leaked(after, NOTHING) == []
    with pytest.raises(AssertionError):
        check(History(), leftovers=(NOTHING, after))


def test_what_was_there_before_is_nobodys_leak() -> None:
    before = msgspec.structs.replace(NOTHING, threads={"ceylon other loop": 1}, timers=1)

    assert nothing_leaked(before, before) == []


async def test_a_mesh_shows_while_it_is_open_and_leaves_nothing() -> None:
    before = Leftovers.now()
    async with Mesh("shown") as mesh:
        await mesh.add(Threaded("threaded")).ask(1)
        during = Leftovers.now(mesh)

    assert [name for name in during.tasks if name not in before.tasks] != []
    assert "ceylon shown 1" in during.threads


class Threaded(Agent):
    def on_message(self, message: object) -> object:
        return message


class Named(Message):
    """A message with a name."""


@pytest.mark.parametrize("checker", [conservation, fifo, one_at_a_time, asks_resolved])
def test_an_empty_history_is_fine(checker: Callable[[History], list[str]]) -> None:
    assert checker(History()) == []


def test_events_of_agents_are_no_envelopes() -> None:
    history = History()
    history.add(What.STARTED, at=0.0, recipient="a")
    history.add(What.RESTARTED, at=1.0, recipient="a")

    check(history)
    assert isinstance(history.events[0], Event)
