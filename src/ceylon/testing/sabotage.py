"""Break one rule of the core on purpose, to see that a checker notices: one that was never seen red proves nothing.

Each of these is a context manager. While it is entered, every mesh of the process is broken in that one way; leaving
it restores the core. They are for the tests of checkers, and of nothing else.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ceylon.agents.action import as_action
from ceylon.agents.approvals import Approved, Question
from ceylon.agents.called import Calls
from ceylon.agents.callees import Callee, OwnAction
from ceylon.agents.toolbox import Toolbox
from ceylon.core.budgets import Account, Amount
from ceylon.core.cell import Cell
from ceylon.core.dispatcher import Dispatcher
from ceylon.core.router import Router

if TYPE_CHECKING:
    from ceylon.core.backend import Future, Task
    from ceylon.messages import Envelope, Outcome
    from ceylon.models.turns import Turn

__all__ = [
    "charge_after",
    "drop_a_message",
    "grant_everything",
    "leak_a_task",
    "leave_calls_open",
    "lose_a_reply",
    "run_two_at_once",
    "skip_fifo",
    "unbind_approvals",
]


@contextlib.contextmanager
def drop_a_message(number: int = 1) -> Generator[None]:
    """Accept the *number*-th envelope that is sent from now on, and forget it: the sender hears that all is well."""
    is_the_one = _nth(number)
    deliver = Router.deliver

    def broken(self: Router, envelope: "Envelope") -> "Cell | None":
        cell = self.find(envelope.recipient)
        if cell is None or not cell.state.takes_mail or not cell.has_room() or not is_the_one():
            return deliver(self, envelope)
        cell.accepted += 1
        return None

    with _replaced(Router, "deliver", broken):
        yield


@contextlib.contextmanager
def skip_fifo() -> Generator[None]:
    """Let the last envelope of a mailbox be taken before all others, on the loop and in threads."""
    deliver = Router.deliver

    def broken(self: Router, envelope: "Envelope") -> "Cell | None":
        full = deliver(self, envelope)
        cell = self.find(envelope.recipient)
        if full is None and cell is not None and not isinstance(cell.mail, _LastFirst):
            cell.mail = _LastFirst(cell.mail)
        return full

    with _replaced(Router, "deliver", broken):
        yield


class _LastFirst(deque["Envelope"]):
    """A mailbox that is emptied from the wrong end."""

    def popleft(self) -> "Envelope":
        return self.pop()


@contextlib.contextmanager
def run_two_at_once() -> Generator[None]:
    """Let every agent that is added from now on handle one message more at one time than it has said."""
    make = Cell.__init__

    def broken(self: Cell, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        self.slots += 1
        self.keeps_keys = True  # which is what makes the dispatcher look for a second worker

    with _replaced(Cell, "__init__", broken):
        yield


@contextlib.contextmanager
def lose_a_reply(number: int = 1) -> Generator[None]:
    """Lose the *number*-th reply from now on: the handler ends well, and whoever asked hears nothing."""
    is_the_one = _nth(number)
    reply = Router.reply

    def broken(self: Router, envelope: "Envelope", outcome: "Outcome") -> None:
        if not is_the_one():
            reply(self, envelope, outcome)

    with _replaced(Router, "reply", broken):
        yield


@contextlib.contextmanager
def leak_a_task() -> Generator[None]:
    """Let every mesh that closes from now on leave a task on its loop; leaving this ends those tasks."""
    close = Dispatcher.close
    leaks: list[tuple[Dispatcher, Future]] = []

    def broken(self: Dispatcher) -> None:
        close(self)
        driver = self._driver  # pyright: ignore[reportPrivateUsage] – sabotage comes from inside
        end = driver.future()
        leaks.append((self, end))

        async def wait(task: "Task") -> None:
            with task.life():
                await end

        driver.spawn(wait, "ceylon leak")

    with _replaced(Dispatcher, "close", broken):
        try:
            yield
        finally:
            for dispatcher, end in leaks:
                driver = dispatcher._driver  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] – as above
                if not driver.has_ended() and not end.done():
                    driver.call_threadsafe(lambda end=end: end.set_result(None))  # type: ignore[misc]


@contextlib.contextmanager
def grant_everything(*functions: Callable[..., Any]) -> Generator[None]:
    """Let every model call *functions* too, whatever its agent was given."""
    granted = {function.__name__: OwnAction(as_action(function)) for function in functions}
    find = Toolbox.__getitem__

    def broken(self: Toolbox, name: str) -> Callee:
        return granted[name.strip()] if name.strip() in granted else find(self, name)

    with _replaced(Toolbox, "__getitem__", broken):
        yield


@contextlib.contextmanager
def unbind_approvals() -> Generator[None]:
    """Let an approval be good for any request, and for whatever arguments the caller holds when it comes."""

    def broken(self: Question) -> "Mapping[str, Any]":
        return self.given

    def is_no_refusal(self: Question, answer: object) -> None:
        if not isinstance(answer, Approved):
            check(self, answer)

    check = Question.check
    with _replaced(Question, "approved", broken), _replaced(Question, "check", is_no_refusal):
        yield


@contextlib.contextmanager
def leave_calls_open() -> Generator[None]:
    """Let a turn that is broken off keep the calls of its model without their results."""

    def broken(self: Calls) -> "tuple[Turn, ...]":
        return (self.reply.turn(),) if None in self.results else turns(self)

    turns = Calls.turns
    with _replaced(Calls, "turns", broken):
        yield


@contextlib.contextmanager
def charge_after() -> Generator[None]:
    """Let requests to models be paid for when they are over, and nothing be held for them before they are made."""

    def hold(self: Account, amount: Amount) -> None:
        """Hold nothing."""

    def settle(self: Account, held: Amount, spent: Amount) -> None:
        del held
        for account in self:
            account.spent += spent
            account.wake()

    with _replaced(Account, "hold", hold), _replaced(Account, "settle", settle):
        yield


def _nth(number: int) -> Callable[[], bool]:
    """Return a question that is answered with yes once: when it is asked for the *number*-th time."""
    asked = itertools.count(1)
    return lambda: next(asked) == number


@contextlib.contextmanager
def _replaced(owner: type, name: str, broken: Callable[..., Any]) -> Generator[None]:
    original = getattr(owner, name)
    setattr(owner, name, broken)
    try:
        yield
    finally:
        setattr(owner, name, original)
