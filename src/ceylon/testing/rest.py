"""What a mesh owes once it is at rest: no slot, wait, thread, loan or deadline may be left of what has ended."""

from typing import TYPE_CHECKING

from ceylon.core.cell import State

if TYPE_CHECKING:
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior

__all__ = ["busy_threads", "is_at_rest", "unrest"]


def is_at_rest(interior: "Interior") -> bool:
    """Say whether nothing is under way: no message, and no beginning or end of an agent either."""
    cells = interior.router.cells.values()
    return (
        not interior.router.open
        and not interior.tasks
        and not interior.belongings.alive
        and all(cell.state is State.RUNNING for cell in cells)
    )


def unrest(interior: "Interior") -> list[str]:
    """Return what is left over in a mesh that is at rest; on its loop, some steps of it after the last end."""
    found = [words for cell in interior.router.cells.values() for words in _left_in(cell)]
    router = interior.router
    found += [
        f"ask #{number} to {call.envelope.recipient!r} has come to its end, and its asker was not told"
        for number, call in router.calls.items()
        if not any(call in (cell.parked or ()) for cell in router.cells.values())
    ]
    own = interior.requests.kept.timers + sum(
        len(cell.life.timers) for cell in router.cells.values() if cell.life is not None
    )
    own += sum(each.timers for each in interior.registered.values())
    if len(interior.timers) > own:
        found.append(f"{len(interior.timers) - own} timers are armed although nothing is under way")
    busy = busy_threads(interior)
    if busy:
        found.append(f"{busy} threads count as busy although nothing is under way")
    return [f"mesh {interior.name!r} is at rest, but {words}" for words in found]


def busy_threads(interior: "Interior") -> int:
    """Count the threads that count as busy, but for those given up."""
    threads = interior.threads.statistics()
    return threads.running + threads.blocked - threads.stuck


def _left_in(cell: "Cell") -> list[str]:
    who = f"agent {cell.address!r}"
    left: list[str] = []
    if cell.running or cell.leases or cell.under_way:
        left.append(f"{who} has {cell.running} of its slots in use, and no handler under way")
    if cell.busy_keys:
        left.append(f"{who} takes {len(cell.busy_keys)} conversations for busy")
    if cell.loans or not (cell.options.takes_keys or cell.slots == cell.options.concurrency):
        left.append(f"{who} has {cell.slots} slots instead of {cell.options.concurrency}: a loan was not taken back")
    if cell.parked and len(cell.mail) < cell.capacity:
        numbers = ", ".join(f"#{call.envelope.id}" for call in cell.parked)
        left.append(f"{numbers} waits for room in the mailbox of {who}, where there is some")
    return left
