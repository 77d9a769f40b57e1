"""What a failure leads to: for the agent itself, for its parents, and for the mesh if the agent was critical.

An agent's own `on_failure` decides first. What it cannot keep to itself, because it says "escalate", or has begun again
too often, or cannot start, is its parent's failure then; above the topmost parent the answer is that the agent is gone.
"""

from typing import TYPE_CHECKING, cast

import msgspec

from ceylon.core.cell import Cell, State
from ceylon.core.ledger import Reason
from ceylon.core.log import logger
from ceylon.errors import HandlerTimeoutError, MeshClosedError, MeshFailedError, describe
from ceylon.messages import TELL, Envelope

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.ports import Directive

__all__ = ["Failure", "Failures"]

_FAILS = frozenset({State.STARTING, State.RUNNING})


class Failure(msgspec.Struct, frozen=True, eq=False):
    """An error on its way up.

    `envelope` is what was handled when it was raised; `critical` the first critical agent that it has cost, which
    ends the mesh unless a parent begins again and so brings the agent back.
    """

    envelope: Envelope
    error: BaseException
    critical: str = ""

    def costs(self, cell: Cell) -> "Failure":
        """Return the same, with *cell* given up."""
        if self.critical or not cell.options.critical:
            return self
        return Failure(self.envelope, self.error, cell.address)


class Failures:
    """Answers for one mesh."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior
        self._of_mesh: tuple[str, BaseException] | None = None  # the first critical agent that failed, and by what

    def supervise(self, cell: Cell, envelope: Envelope, error: BaseException) -> None:
        """Do what the supervisor decides after a handler failed."""
        failure = Failure(envelope, error)
        if cell.state is not State.RUNNING:
            cell.failed_late(lambda: self._decide(cell, failure))
            return
        directive = self._decide(cell, failure)
        if directive == "resume" and isinstance(error, HandlerTimeoutError) and error.still_runs:
            directive = "restart"  # what still runs holds this instance
        self._follow(directive, cell, failure)
        if directive != "resume" and envelope.kind != TELL:  # of a tell there is a copy already
            self._interior.router.keep_failed(envelope, describe(error))

    def _follow(self, directive: "Directive", cell: Cell, failure: Failure) -> None:
        """Do with *cell* what it answers to a failure, its own or a child's."""
        if directive == "resume":
            self._end_mesh(failure)
        elif directive == "restart":
            self._interior.restarts.begin(cell, failure)
        elif directive == "stop":
            logger().error("agent_stopped_by_failure", agent=cell.address, error=describe(failure.error))
            self._end_mesh(failure.costs(cell))
            self._stop(cell, failure)
        else:
            self.give_up(cell, failure)

    def _decide(self, cell: Cell, failure: Failure) -> "Directive":
        try:
            return self._interior.supervisor.decide(cell.options, failure.envelope, failure.error)
        except BaseException as refused:  # noqa: BLE001 – a user's callable; the agent must not hang between two states
            logger().error("supervision_failed", agent=cell.address, exc_info=refused)
            return "stop"

    def give_up(self, cell: Cell, failure: Failure) -> None:
        """Stop *cell* for good and hand *failure* to its parent."""
        logger().error("agent_failed_for_good", agent=cell.address, error=describe(failure.error))
        failure = failure.costs(cell)
        if cell.parent is None:
            self._end_mesh(failure)
        cell.have_life().failure = failure.error
        if cell.state in _FAILS:
            cell.state = State.RESTARTING  # whoever asks it while its hooks run hears that it has stopped
        lifecycle = self._interior.lifecycle

        async def end() -> None:
            if cell.state is State.RESTARTING:
                await lifecycle.take_down(cell)
            await lifecycle.stop(cell, reason=Reason.AGENT_FAILED)
            if cell.parent is not None:
                self._escalate(cell.parent, failure)

        self._interior.run(end, "stop", cell)

    def could_not_start(self, cell: Cell, error: BaseException) -> None:
        """Give *cell* up, whose start failed: no message has caused that."""
        self.give_up(cell, Failure(self._interior.router.envelope(TELL, None, cell.address, None), error))

    def _stop(self, cell: Cell, failure: Failure) -> None:
        """Stop *cell*, and let that be the end of it."""
        lifecycle = self._interior.lifecycle
        lifecycle.halt(cell)  # at once: what is behind the failing message is not handled any more
        cell.have_life().failure = failure.error
        self._interior.run(lambda: lifecycle.stop(cell, reason=Reason.AGENT_FAILED), "stop", cell)

    def _escalate(self, parent: Cell, failure: Failure) -> None:
        """Let *parent* answer; one that is ending, or beginning again, does so without its children anyway."""
        if parent.state in _FAILS:
            logger().error("child_failed", agent=parent.address, error=describe(failure.error))
            self._follow(self._decide(parent, failure), parent, failure)

    def _end_mesh(self, failure: Failure) -> None:
        """Stop the whole mesh, at once, if *failure* has cost a critical agent."""
        interior = self._interior
        if failure.critical and self._of_mesh is None and interior.is_open:
            self._of_mesh = (failure.critical, failure.error)
            logger().critical("mesh_failed", mesh=interior.name, agent=failure.critical, error=describe(failure.error))
            if interior.stop_at_once is not None:
                interior.stop_at_once()

    # -- the mesh as a whole -------------------------------------------------------------------------------------------

    @property
    def why_ended(self) -> str:
        """Why the mesh takes no messages, if that is a critical agent's failure; else empty."""
        if self._of_mesh is None:
            return ""
        agent, cause = self._of_mesh
        return f"its critical agent {agent!r} failed: {describe(cause)}"

    def check(self, error: BaseException | None = None) -> None:
        """Raise what the mesh failed by, if it did.

        *error* is what leaves the mesh's block otherwise; that goes before, unless it just says that the mesh closed.
        """
        if self._of_mesh is not None and (error is None or _is_closing(error)):
            agent, cause = self._of_mesh
            raise MeshFailedError(self._interior.name, agent, cause) from cause


def _is_closing(error: BaseException) -> bool:
    """Say whether *error* is nothing but the news that the mesh has closed."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(map(_is_closing, group.exceptions))
    return isinstance(error, MeshClosedError)
