"""End an agent, or all of a family or a pool, because somebody asks for it."""

from typing import TYPE_CHECKING

from ceylon.core.log import logger
from ceylon.core.names import split_key
from ceylon.core.sinks import LOOP_ENDED
from ceylon.errors import MeshClosedError, UnknownAgentError
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ceylon.core.backend import Sink, Task
    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin

__all__ = ["Departures"]


class Departures:
    """Does so for one mesh; on its loop."""

    def __init__(self, interior: "Interior") -> None:
        self._interior = interior

    def stop(self, address: str, sink: "Sink", *, source: "Origin | None" = None, at_once: bool = False) -> None:
        """End what is at *address*; *sink* hears when it is gone, or at once if that would wait for *source*."""
        interior = self._interior
        until = interior.driver.now() if at_once else None
        cell = interior.router.cells.get(address)
        if cell is not None:
            self.run(address, (cell,), lambda: cell.end(interior.lifecycle, until), sink, source)
            return
        name, key = split_key(address)
        registered = interior.registered.get(name)
        if registered is None or address == f"{name}/" or (key and not registered.wants_key()):
            known = [*interior.router.cells, *(each.sample for each in interior.registered.values())]
            sink.set_result(Outcome(error=UnknownAgentError(address, known)))
        elif key:  # nobody has spoken to it, or it has left
            sink.set_result(Outcome())
        else:
            interior.unregister(name)
            self.run(address, registered.cells(), lambda: registered.end(until), sink, source)

    def run(
        self,
        address: str,
        cells: "Sequence[Cell]",
        end: "Callable[[], Awaitable[BaseException | None]]",
        sink: "Sink",
        source: "Origin | None",
    ) -> None:
        """Let *end* do its work on *cells* in a task; *sink* hears of it, or at once if it would wait for *source*."""
        interior = self._interior
        waits = source is None or not any(_would_wait_for(cell, source) for cell in cells)

        async def work(task: "Task") -> None:
            outcome = Outcome(error=MeshClosedError(interior.name, LOOP_ENDED))
            try:
                with task.life():
                    outcome = Outcome(error=await end())
            except Exception as error:  # noqa: BLE001 – a mistake of ours; it must not reach the loop
                logger().critical("stop_failed", agent=address, exc_info=error)
                outcome = Outcome(error=error)
            finally:
                if waits and not sink.done():
                    sink.set_result(outcome)

        interior.driver.spawn(work, f"ceylon {address} stop")
        if not waits:
            sink.set_result(Outcome())


def _would_wait_for(cell: "Cell", source: "Origin") -> bool:
    """Say whether the end of *cell* waits for *source*, or who waits for its answer, or their children."""
    cells = source.interior.router.cells
    for each in (source.cell, *(cells.get(address) for address in source.envelope.chain)):
        above: Cell | None = each
        while above is not None and above is not cell:
            above = above.parent
        if above is not None:
            return True
    return False
