"""The place of one member of a pool."""

from typing import TYPE_CHECKING, Any

from ceylon.core.cell import Cell, State

if TYPE_CHECKING:
    from ceylon.core.lifecycle import Lifecycle
    from ceylon.core.members import Members
    from ceylon.core.ports import AgentLike

__all__ = ["MemberCell"]


class MemberCell(Cell):
    """A cell with a number in its pool; `seed` is what keys are scored by, and a replacement inherits it."""

    __slots__ = ("members", "number", "seed")

    def __init__(self, members: "Members", number: int, seed: int, *parts: Any) -> None:
        super().__init__(*parts)
        self.members, self.number, self.seed = members, number, seed

    @property
    def is_there(self) -> bool:
        """Whether what it takes will be handled: it has not failed for good, and nobody stops it."""
        return self.state.takes_mail and (self.life is None or self.life.failure is None)

    @property
    def is_done(self) -> bool:
        """Whether it has handled all it has accepted."""
        return not (self.mail or self.parked or self.running)

    def rest(self) -> None:
        """Give back what an idle agent does not need; one that is to leave does so now."""
        super().rest()
        self.members.rested(self)

    def rebuilt(self) -> "AgentLike":
        """Return a new instance with the same number."""
        return self.members.maker.make(str(self.number))

    async def end(self, lifecycle: "Lifecycle", until: float | None) -> BaseException | None:
        """Make the pool smaller by this member."""
        self.members.dismiss(self)
        await lifecycle.stop(self, until=until)
        return None

    def left(self) -> None:
        """Let the pool know."""
        self.members.left(self)

    def let_go(self) -> None:
        """Take nothing any more."""
        if self.state is State.RUNNING:
            self.state = State.HALTED
