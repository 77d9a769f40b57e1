"""What the mesh needs of an event loop: the port `ceylon.core.backend.Driver`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from ceylon.core.backend import current_driver
from ceylon.core.signals import Signal
from ceylon.testing.contracts.promises import keep_all, require, require_type

if TYPE_CHECKING:
    from ceylon.core.backend import Driver, Task

__all__ = ["driver_contract"]

_SOON: Final = 0.005
_TICK: Final = 0.0015  # uvloop counts in milliseconds, and rounds
_SECONDS: Final = 10.0  # until what was to happen counts as not happening


async def driver_contract(driver: "Driver | None" = None) -> None:
    """Try every promise of a driver of the running loop; by default of the one that a mesh would take here.

    The driver is closed in the end.

    Raises:
        AssertionError: a promise is broken.
    """
    made = current_driver() if driver is None else driver
    trial, tasks = _Trial(made), _TaskTrial(made)
    promises = (
        trial.it_knows_its_loop_and_thread,
        trial.its_clock_is_one_from_everywhere,
        trial.a_future_is_awaited_before_and_after_its_result,
        trial.call_soon_keeps_the_order_and_waits_for_the_loop,
        trial.call_at_is_never_early_keeps_the_order_and_can_be_taken_back,
        trial.call_threadsafe_comes_from_any_thread,
        trial.a_checkpoint_lets_others_run,
        trial.what_is_shielded_ends_and_the_cancellation_comes_after,
        tasks.a_task_starts_later_and_in_nobodys_scope,
        tasks.a_task_is_cancelled_by_the_loops_own_cancellation,
        tasks.a_task_cancelled_before_its_first_step_still_has_one,
        tasks.a_task_tells_what_was_left_in_it,
    )
    try:
        await keep_all(type(made).__name__, promises)
    finally:
        made.close()


async def _until(condition: Callable[[], object], sentence: str) -> None:
    with anyio.move_on_after(_SECONDS):
        while not condition():  # noqa: ASYNC110 – what is tried here is what an event is made of
            await anyio.sleep(0.001)
    require(condition(), sentence)


class _Trial:
    """One driver."""

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver

    async def it_knows_its_loop_and_thread(self) -> None:
        driver = self._driver
        require(driver.is_current(), "it does not know the loop it runs on")
        require(not await anyio.to_thread.run_sync(driver.is_current), "it takes a thread without a loop for its own")
        require(not driver.has_ended(), "it says that the running loop has ended")
        require_type(driver.cancellation, type, "its cancellation")

    async def its_clock_is_one_from_everywhere(self) -> None:
        before = self._driver.now()
        elsewhere = await anyio.to_thread.run_sync(self._driver.now_anywhere)
        after = self._driver.now()
        require(before <= elsewhere <= after, f"a thread saw {elsewhere}, the loop {before} before and {after} after")

    async def a_future_is_awaited_before_and_after_its_result(self) -> None:
        early, late = self._driver.future(), self._driver.future()
        require(not early.done(), "a future has a result before it was given one")
        early.set_result("early")
        require(early.done(), "a future that has its result is not done")
        require(await early == "early", "a result that was there is not what is awaited")
        self._driver.call_soon(lambda: late.set_result("late"))
        with anyio.fail_after(_SECONDS):
            require(await late == "late", "a result that comes is not what is awaited")

    async def call_soon_keeps_the_order_and_waits_for_the_loop(self) -> None:
        seen: list[int] = []
        for number in range(5):
            self._driver.call_soon(lambda number=number: seen.append(number))  # type: ignore[misc]
        require(not seen, "a callback ran before control was back on the loop")
        await _until(lambda: len(seen) == 5, "a callback never ran")  # noqa: PLR2004 – as many as above
        require(seen == sorted(seen), f"callbacks ran in the order {seen}")

    async def call_at_is_never_early_keeps_the_order_and_can_be_taken_back(self) -> None:
        now, seen = self._driver.now(), list[tuple[str, float]]()

        def note(name: str) -> Callable[[], None]:
            return lambda: seen.append((name, self._driver.now()))

        self._driver.call_at(now + 2 * _SOON, note("second"))
        self._driver.call_at(now + _SOON, note("first"))
        self._driver.call_at(now + _SOON, note("taken back"))()
        await _until(lambda: len(seen) > 1, "a timer never fired")
        await anyio.sleep(_SOON)
        names = [name for name, _ in seen]
        require(names == ["first", "second"], f"there fired {names}")
        require(all(at >= now + _SOON * place - _TICK for place, (_, at) in enumerate(seen, 1)), f"too early: {seen}")

    async def call_threadsafe_comes_from_any_thread(self) -> None:
        seen: list[bool] = []
        await anyio.to_thread.run_sync(
            lambda: self._driver.call_threadsafe(lambda: seen.append(self._driver.is_current()))
        )
        await _until(lambda: seen, "a callback from a thread never ran")
        require(seen == [True], "a callback from a thread ran, but not on the loop")

    async def a_checkpoint_lets_others_run(self) -> None:
        seen: list[int] = []
        self._driver.call_soon(lambda: seen.append(1))
        for _ in range(5):  # trio: one step for the task that runs the callbacks, in whatever order
            await self._driver.checkpoint()
        require(seen, "what was ready did not run")

    async def what_is_shielded_ends_and_the_cancellation_comes_after(self) -> None:
        end, seen = Signal(self._driver), list[str]()

        async def wait() -> None:
            await end.wait()  # and not one future: a cancelled wait is begun again
            seen.append("ended")

        async def work(task: "Task") -> None:
            with task.life():
                try:
                    seen.append("began")
                    await self._driver.shielded(wait)
                    seen.append("not cancelled")
                except self._driver.cancellation:
                    seen.append("cancelled")
                    raise

        task = self._driver.spawn(work, "contract")
        await _until(lambda: seen, "a task never began")
        task.cancel()
        self._driver.call_at(self._driver.now() + _SOON, end.set)
        await _until(lambda: {"cancelled", "not cancelled"}.intersection(seen), "it never ended")
        require(seen == ["began", "ended", "cancelled"], f"there happened {seen}")


class _TaskTrial:
    """The tasks of one driver."""

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver

    async def a_task_starts_later_and_in_nobodys_scope(self) -> None:
        seen: list[str] = []
        end = self._driver.future()

        async def work(task: "Task") -> None:
            with task.life():
                seen.append("began")
                await end
                seen.append("ended")

        with anyio.CancelScope() as scope:
            self._driver.spawn(work, "contract")
            require(not seen, "a task made its first step before control was back on the loop")
            await _until(lambda: seen, "a task never began")
            scope.cancel()
            await anyio.lowlevel.checkpoint()
        end.set_result(None)
        await _until(lambda: len(seen) > 1, "a task was cancelled with the scope it was started in")

    async def a_task_is_cancelled_by_the_loops_own_cancellation(self) -> None:
        seen: list[Any] = []
        task = self._driver.spawn(self._waiting(seen), "contract")
        await _until(lambda: seen, "a task never began")
        task.cancel()
        await _until(lambda: len(seen) > 1, "a cancelled task went on waiting")
        require(isinstance(seen[1], self._driver.cancellation), f"a cancelled task saw {seen[1]!r}")

    async def a_task_cancelled_before_its_first_step_still_has_one(self) -> None:
        seen: list[Any] = []
        self._driver.spawn(self._waiting(seen), "contract").cancel()
        await _until(lambda: seen, "it was dropped, with everything in its `finally`")
        await _until(lambda: len(seen) > 1, "it was not cancelled")

    async def a_task_tells_what_was_left_in_it(self) -> None:
        seen: list[bool] = []

        async def work(task: "Task") -> None:
            with task.life():
                seen.append(task.is_clean())
                scope = anyio.CancelScope()
                scope.__enter__()
                seen.append(task.is_clean())
                await task.tidy()
                seen.append(task.is_clean())

        self._driver.spawn(work, "contract")
        await _until(lambda: len(seen) > 2, f"a task ended early: it had said {seen}")  # noqa: PLR2004 – as above
        require(seen == [True, False, True], f"clean, with a scope left open, and tidied, a task says {seen}")

    def _waiting(self, seen: list[Any]) -> Any:
        """Return a task's function that waits for ever and notes how that ends."""

        async def work(task: "Task") -> None:
            with task.life():
                try:
                    seen.append("began")
                    await self._driver.future()
                except BaseException as error:
                    seen.append(error)
                    raise

        return work
