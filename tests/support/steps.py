"""Do something at the n-th step of a loop: between any two things that its tasks do, one after the other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio

__all__ = ["Steps", "run_in_steps"]


class Steps(trio.abc.Instrument):
    """Counts a loop's steps from `arm` on, and acts before one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.has_acted = False
        self.error: AssertionError | None = None
        self._action: Callable[[], None] | None = None

    def arm(self, action: Callable[[], None]) -> None:
        """Begin to count; *action* is what to do."""
        self._action = action

    def disarm(self) -> None:
        """Count no more."""
        self._action = None

    def step(self) -> None:
        """Take note that the loop is about to do something."""
        if self._action is None:
            return
        self.count += 1
        if self.count == self.at:
            self.has_acted = True
            try:
                self._action()
            except AssertionError as error:  # raised here it would cost the loop a step
                self.error = error

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        self.step()


class SteppedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that tells of each of its steps."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def call_soon(self, callback: Any, *arguments: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        """Do *callback* as a step."""
        return super().call_soon(self._step, callback, *arguments, context=context)

    def _step(self, callback: Callable[..., object], *arguments: Any) -> None:
        self._steps.step()
        callback(*arguments)


def run_in_steps(backend: str, main: Callable[[], Awaitable[None]], steps: Steps) -> None:
    """Run *main* on a new loop of *backend* whose steps are counted; raise what failed at the step."""
    options: dict[str, Any] = (
        {"instruments": [steps]} if backend == "trio" else {"loop_factory": lambda: SteppedLoop(steps)}
    )
    anyio.run(main, backend=backend, backend_options=options)
    if steps.error is not None:
        raise steps.error
