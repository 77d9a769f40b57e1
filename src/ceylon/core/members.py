"""Agents that share the work behind one address. The router asks who is to have an envelope, and puts it there at once.

A member that fails is supervised like any agent. One that has failed for good is replaced, at most as often as an agent
may begin again; after that the pool is smaller. It ends when nobody is left.
"""

from collections import deque
from typing import TYPE_CHECKING

from ceylon.core.log import logger
from ceylon.core.member_cell import MemberCell
from ceylon.core.ordered import Ordered
from ceylon.core.routings import Routing, seed_of, strategy_of
from ceylon.errors import ArgumentError, DefinitionError, MeshClosedError, UnknownAgentError
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ceylon.core.backend import Sink
    from ceylon.core.interior import Interior
    from ceylon.core.makers import Maker
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike
    from ceylon.messages import Envelope

__all__ = ["Members"]


class Members:
    """One pool, on the mesh's loop. `present` are those who get messages, `leaving` those who finish what they have."""

    def __init__(self, interior: "Interior", maker: "Maker", routing: Routing) -> None:
        self._interior = interior
        self.maker = maker
        self.name = maker.name
        self.present: list[MemberCell] = []
        self.leaving: Ordered[MemberCell] = Ordered()
        self._strategy = strategy_of(routing, self.name)
        self._numbers = 0
        self._failures: deque[float] = deque()
        self._is_ending = False

    def __repr__(self) -> str:
        return f"<Members of {self.name!r} {len(self.present)} present {len(self.leaving)} leaving>"

    # -- what is registered, see `Registered` --------------------------------------------------------------------------

    @property
    def sample(self) -> str:
        """What its address is."""
        return self.name

    @property
    def timers(self) -> int:
        """Say that it has none."""
        return 0

    @property
    def example(self) -> "AgentLike | None":
        """One of its agents."""
        present = list(self.present)
        return present[0].agent if present else None

    def wants_key(self) -> bool:
        """Say that its address has none."""
        return False

    def cells(self) -> "Sequence[MemberCell]":
        """Return the places of all members."""
        return [*self.present, *self.leaving]

    def receiver(self, envelope: "Envelope", key: str) -> MemberCell | None:
        """Return who is to have *envelope*, which is addressed to that member from now on.

        Raises:
            ArgumentError: the function that finds the key of a message has none for this one.
        """
        if key or not self.present:
            return None
        cell = self._strategy.choose(self.present, envelope)
        if not cell.is_there:
            self._mend()
            there = [each for each in self.present if each.is_there]
            if not there:
                return None
            cell = self._strategy.choose(there, envelope)
        envelope.recipient = cell.address
        return cell

    async def all_leave(self, until: float) -> None:
        """Keep them: members go with the mesh."""

    async def end(self, until: float | None) -> BaseException | None:
        """End all members, last started first."""
        self._is_ending = True
        driver, settings = self._interior.driver, self._interior.settings
        end = driver.now() + settings.drain_timeout if until is None else until
        for cell in reversed(self.cells()):
            await self._interior.lifecycle.stop(cell, until=end)
        return None

    # -- size ----------------------------------------------------------------------------------------------------------

    def grow(self, count: int) -> None:
        """Take in *count* members more; all, or if one cannot be made none."""
        taken = {cell.seed for cell in self.present}
        places = (place for place in range(len(taken) + count) if seed_of(place) not in taken)
        made = [(self._numbers + 1 + step, seed_of(next(places))) for step in range(count)]
        agents = [self.maker.make(str(number)) for number, _ in made]
        self._check(agents)
        for (number, seed), agent in zip(made, agents, strict=True):
            self._numbers = number
            address = f"{self.name}/{number}"
            self._interior.place(agent, address, lambda *parts: MemberCell(self, number, seed, *parts))  # noqa: B023 – called at once
            cell = self._interior.cells()[address]
            assert isinstance(cell, MemberCell)  # noqa: S101 – it was made a line above
            self.present.append(cell)

    def _check(self, agents: "Sequence[AgentLike]") -> None:
        """Raise before any of *agents* has a place, if one has another already or would have two."""
        for agent in agents:
            self._interior.read(agent)
        if len(set(map(id, agents))) < len(agents):
            message = (
                f"what makes the members of pool {self.name!r} gave one agent twice; let it make a new one each time"
            )
            raise DefinitionError(message)

    def resize(self, size: int, sink: "Sink", source: "Origin | None") -> None:
        """Have *size* members; *sink* hears when those who leave are gone, or at once if they wait for *source*."""
        check_size(size)
        if self._is_ending or self._interior.registered.get(self.name) is not self:
            raise UnknownAgentError(self.name, self._interior.router.cells)
        if self._interior.is_stopping:
            raise MeshClosedError(self._interior.name, "it is stopping")
        before = self.cells()
        if size > len(self.present):
            self.grow(size - len(self.present))
        leaving, self.present = self.present[size:], self.present[:size]
        self._strategy.resized(before, self.present, self._interior.router.open)
        for cell in reversed(leaving):
            self.leaving.add(cell)
            cell.is_thrifty = True  # which lets the pool hear of every rest
            self.rested(cell)
        if leaving:
            self._interior.departures.run(self.name, leaving, lambda: self._gone(leaving), sink, source)
        else:
            sink.set_result(Outcome())

    async def _gone(self, leaving: "Sequence[MemberCell]") -> None:
        for cell in leaving:
            while cell in self.leaving:
                await self._interior.lifecycle.wait_for_change(cell)

    def rested(self, cell: MemberCell) -> None:
        """Let *cell* go, if it is to leave and has nothing to do any more."""
        if cell in self.leaving and cell.is_done and cell.is_there:
            cell.let_go()
            self._interior.run(lambda: self._interior.lifecycle.stop(cell), "stop", cell)

    def dismiss(self, cell: MemberCell) -> None:
        """Be smaller by *cell*, which somebody stops."""
        if cell in self.present:
            self.present.remove(cell)
            self.leaving.add(cell)
            self._end_if_empty()

    # -- members that are gone -----------------------------------------------------------------------------------------

    def left(self, cell: MemberCell) -> None:
        """Take note that *cell* is gone, for whatever reason."""
        self.leaving.discard(cell)
        if cell in self.present:
            self._replace(cell)

    def _mend(self) -> None:
        """Replace whoever has failed for good, without waiting for its end."""
        for cell in [each for each in self.present if not each.is_there]:
            self._replace(cell)

    def _replace(self, cell: MemberCell) -> None:
        interior, place = self._interior, self.present.index(cell)
        self.present.remove(cell)
        if interior.is_stopping or self._is_ending or not interior.is_open:
            return
        if not interior.supervisor.may_restart(self._failures, interior.driver.now(), cell.options):
            logger().error("pool_shrunk", pool=self.name, members=len(self.present))
            self._end_if_empty()
            return
        try:
            self._put_in(place, cell.seed)
        except BaseException as error:  # noqa: BLE001 – a user's __init__; nothing is awaited here
            if isinstance(error, KeyboardInterrupt):
                interior.interrupt()
            logger().error("agent_rebuild_failed", agent=self.name, exc_info=error)
            self._end_if_empty()

    def _put_in(self, place: int, seed: int) -> None:
        """Put a new member into the *place* of another, whose keys it gets."""
        number = self._numbers = self._numbers + 1
        address = f"{self.name}/{number}"
        agent = self.maker.make(str(number))
        self._interior.place(agent, address, lambda *parts: MemberCell(self, number, seed, *parts))
        cell = self._interior.cells()[address]
        assert isinstance(cell, MemberCell)  # noqa: S101 – it was made a line above
        self.present.insert(place, cell)

    def _end_if_empty(self) -> None:
        if not self.present and not self._is_ending and self._interior.registered.get(self.name) is self:
            logger().error("pool_ended", pool=self.name)
            self._interior.unregister(self.name)


def check_size(size: object) -> None:
    """Raise `ArgumentError` unless a pool can have so many members."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        message = f"size={size!r} cannot be; a pool has a whole number of members, from 1"
        raise ArgumentError(message)
