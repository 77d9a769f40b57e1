"""Find who is behind an address: an agent, a conversation or a key of one, a family, a pool."""

from typing import TYPE_CHECKING

from ceylon.core.names import split_key

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.registering import Registered
    from ceylon.messages import Envelope

__all__ = ["Addresses"]


class Addresses:
    """Every address of one mesh; on its loop."""

    def __init__(self, registered: "dict[str, Registered]") -> None:
        self.cells: dict[str, Cell] = {}
        self.registered = registered  # names behind which there are more agents than one

    def known(self) -> list[str]:
        """Return the addresses that take mail just now, and what those look like that may come to exist."""
        there = [address for address, cell in self.cells.items() if cell.state.takes_mail]
        return there + [group.sample for group in self.registered.values()]

    def find(self, address: str) -> "Cell | None":
        """Return the cell at *address*; a key behind the name is the agent's own affair."""
        cell = self.cells.get(address)
        if cell is None:
            name, key = split_key(address)
            cell = self.cells.get(name) if key else None
            if cell is not None and not cell.options.takes_keys:
                return None
        return cell

    def knows(self, address: str) -> bool:
        """Say whether somebody takes mail at *address*, or will be there as soon as something comes."""
        cell = self.find(address)
        if cell is not None:
            return cell.state.takes_mail
        name, key = split_key(address)
        group = self.registered.get(name)
        return group is not None and group.wants_key() == bool(key)

    def receiver(self, envelope: "Envelope") -> "Cell | None":
        """Return who is to have *envelope*, of a family or a pool: made now, or chosen now.

        Raises:
            AgentStartError: it could not be made.
            ArgumentError: the pool's routing has no answer.
        """
        name, key = split_key(envelope.recipient)
        group = self.registered.get(name)
        if group is None or envelope.recipient == f"{name}/":
            return None
        return group.receiver(envelope, key)
