"""The place of a keyed agent: it outlives the instances in it for as long as there is mail."""

from typing import TYPE_CHECKING, Any

from ceylon.core.absent import Absent
from ceylon.core.cell import Cell, State
from ceylon.errors import FamilyFullError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ceylon.core.handlers import Behaviour
    from ceylon.core.keeping import Keeping
    from ceylon.core.keyed import KeyedAgents
    from ceylon.core.lifecycle import Lifecycle
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike, AgentOptions, Directive
    from ceylon.core.waits import Groups
    from ceylon.errors import MailboxFullError
    from ceylon.messages import Envelope

__all__ = ["KeyedCell"]


class KeyedCell(Cell):
    """A cell of one family, found by its key.

    While it waits for a place it has no instance, and a mailbox without room unless somebody is leaving for it.
    `is_spoilt`: a handler of the instance there has failed so that it would begin again, were it not about to end.
    `is_saved`: its state is where the next one finds it.
    `rested_at` is when it was last seen to have nothing to do, and `seen` how much it had been sent by then.
    `ticks` counts what it has told itself again and again, which keeps nobody in memory.
    """

    __slots__ = ("family", "is_saved", "is_spoilt", "key", "rested_at", "restores", "seen", "ticks")

    def __init__(self, family: "KeyedAgents", address: str, key: str, options: "AgentOptions") -> None:
        absent = Absent(family.name)
        super().__init__(address, absent, absent.__ceylon_behaviour__, options, 0)
        self.family = family
        self.key = key
        self.capacity = 0
        self.is_thrifty = True  # which lets the family hear of every rest
        self.state = State.WAITING
        self.restores = self.is_spoilt = self.is_saved = False
        self.rested_at = 0.0
        self.seen, self.ticks = -1, 0

    def furnish(self, agent: "AgentLike", behaviour: "Behaviour", options: "AgentOptions", capacity: int) -> None:
        """Put *agent* in, which is about to start."""
        self.agent, self.behaviour, self.options = agent, behaviour, options
        self.restores = agent.__ceylon_hook__("load") is not None
        self.is_spoilt = self.is_saved = False
        self.slots = options.concurrency
        self.keeps_keys = self.slots > 1 or options.reentrant
        self.open_to(capacity)
        self.state = State.STARTING
        life = self.life
        if life is not None:
            life.has_stopped, life.start_error, life.is_hurried = False, None, False

    def empty(self, options: "AgentOptions") -> None:
        """Take the instance out, which has ended; the mail waits for the next one."""
        self.agent = absent = Absent(self.family.name)
        self.behaviour, self.options = absent.__ceylon_behaviour__, options
        self.capacity, self.state = 0, State.WAITING

    def open_to(self, capacity: int) -> None:
        """Take so much mail from now on, of those first who wait for room."""
        own = self.options.mailbox_capacity
        self.capacity = capacity if own is None else own
        self.admit()

    @property
    def is_idle(self) -> bool:
        """Whether it could leave: nothing is there to be done, no task, child or single timer of its own either."""
        if self.state is not State.RUNNING or self.mail or self.parked or self.running:
            return False
        life = self.life
        if life is None:
            return True
        tasks = any(task.name != "lifespan" for task in life.tasks)
        return not (tasks or life.children or any(timer.schedule.comes_once for timer in life.timers))

    @property
    def sent(self) -> int:
        """How many messages it has had, its own ticks apart."""
        return self.accepted - self.ticks

    # -- its own ways, see `Cell` --------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Give back what an idle agent does not need, and let the family know."""
        super().rest()
        self.family.rested(self)

    def ticked(self) -> None:
        """Take note that what it has just accepted is one of its own ticks."""
        self.ticks += 1

    def unpark(self, envelope: "Envelope") -> bool:
        """Take back a wait for room; a place that nobody wants any more is given up."""
        had_waited = super().unpark(envelope)
        if had_waited:
            self.family.maybe_unwanted(self)
        return had_waited

    def rebuilt(self) -> "AgentLike":
        """Return a new instance for the same key."""
        return self.family.make(self.key)

    async def end(self, lifecycle: "Lifecycle", until: float | None) -> BaseException | None:
        """Let the instance leave; its mail is the next one's."""
        del lifecycle
        return await self.family.send_away(self, until)

    def left(self) -> None:
        """Give the place to another."""
        self.family.left(self)

    async def load(self, keeping: "Keeping") -> BaseException | None:
        """Give the instance what the family's snapshots have for its key."""
        return await keeping.load(self)

    async def save(self, keeping: "Keeping") -> None:
        """Put its state there, or say that it is lost."""
        await keeping.save_at_the_end(self)

    def lose(self, keeping: "Keeping") -> None:
        """Say so, if it has one that is not there."""
        keeping.lose(self)

    def failed_late(self, decide: "Callable[[], Directive]") -> None:
        """Let nobody keep what it has in mind, if it would have begun again or stopped by that failure."""
        if decide() != "resume":
            self.is_spoilt = True

    def why_full(self, waited: float = 0.0) -> "MailboxFullError":
        """Say whether it is the mailbox that is full, or the family."""
        if not self.capacity:
            return FamilyFullError(self.address, self.family.name, self.family.limit, waited)
        return super().why_full(waited)

    def held_up_by(self) -> "Groups[Origin]":
        """Return what the mail waits for: one of the family to have done its work, or hooks."""
        return self.family.held_up_by() if self.state is State.WAITING else super().held_up_by()

    def busy_with(self) -> "Origin | None":
        """Return a handler that keeps the agent from leaving, one that waits if there is one; `None`: it can go on."""
        if any(not lease.is_blocked for lease in self.leases or ()):
            return None
        contexts: list[Any] = [*(self.under_way or {}).values(), *(lease.context for lease in self.leases or ())]
        holding: list[Origin] = [context for context in contexts if context is not None]
        return next((context for context in holding if context.waits), holding[0] if holding else None)
