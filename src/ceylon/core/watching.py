"""Death watch: an agent is told when another one has ended, once, whatever the end was."""

from typing import TYPE_CHECKING, Final, Literal

from ceylon.core.names import check_address
from ceylon.errors import ArgumentError, describe
from ceylon.messages import TELL, Message

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["Terminated", "Watches"]

_MANY: Final = "{!r} stands for many agents, of which each ends alone; watch one: the ref for a key, or `pool.members`"


class Terminated(Message[None], tag="$terminated"):
    """The agent at *address*, which the receiver watched, is not there any more.

    Attributes:
        address: Whose end it is; the message's sender, too.
        reason: ``"stopped"``, ``"failed"`` for good, or ``"unknown"``: nobody was there when the watch began.
        error: What it failed by, in words.
    """

    address: str
    reason: Literal["stopped", "failed", "unknown"]
    error: str = ""


class Watches:
    """Who watches whom. Both ends are kept with the agents themselves, so nothing outlives them."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior

    def begin(self, watcher: "Cell", address: str) -> None:
        """Let *watcher* be told once of the end of the agent at *address*; at once, if there is none.

        Raises:
            ArgumentError: there are many behind that name.
        """
        cell = self._interior.router.find(check_address(address))
        if address in self._interior.registered:
            raise ArgumentError(_MANY.format(address))
        if cell is None:
            self._tell(watcher, Terminated(address, "unknown"))
        elif cell is not watcher:  # nobody hears of his own end
            cell.have_life().watchers[watcher.address] = watcher
            watcher.have_life().watched[cell.address] = cell

    def end(self, watcher: "Cell", address: str) -> None:
        """Tell *watcher* nothing of *address* any more; what is in its mailbox stays there."""
        cell = self._interior.router.find(check_address(address))
        if cell is not None and cell.life is not None and watcher.life is not None:
            cell.life.watchers.pop(watcher.address, None)
            watcher.life.watched.pop(cell.address, None)

    def ended(self, cell: "Cell") -> None:
        """Tell whoever watches *cell* of its end, and let go of whom it watches."""
        life = cell.life
        if life is None:
            return
        for other in life.watched.values():
            other.have_life().watchers.pop(cell.address, None)
        life.watched.clear()
        watchers, life.watchers = life.watchers, {}
        message = Terminated(cell.address, "stopped")
        if life.failure is not None:
            message = Terminated(cell.address, "failed", describe(life.failure))
        for watcher in watchers.values():
            watcher.have_life().watched.pop(cell.address, None)
            self._tell(watcher, message)

    def _tell(self, watcher: "Cell", message: Terminated) -> None:
        """Put *message* into the mailbox, full or not, behind everything its sender has sent."""
        router = self._interior.router
        if not watcher.state.takes_mail or router.is_halted or router.is_closed:
            return
        for call in [call for call in watcher.parked or () if call.envelope.sender == message.address]:
            watcher.parked.remove(call)  # type: ignore[union-attr]
            watcher.put(call.envelope)
            call.admitted()
        envelope = router.envelope(TELL, None, watcher.address, message)
        envelope.sender = message.address
        watcher.put(envelope)
        router.accepted(watcher, envelope)
