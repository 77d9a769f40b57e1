"""An agent that was asked goes on when nobody wants its answer any more: a task is left behind."""

import contextlib
from collections.abc import Generator
from typing import Any

import anyio
import pytest

from ceylon.core.backend import Task
from ceylon.core.ref import Ref
from ceylon.messages import Outcome
from ceylon.pipelines.asking import AgentUnit
from ceylon.pipelines.running import Run


@contextlib.contextmanager
def plant() -> Generator[None]:
    async def broken(self: AgentUnit, run: Run, value: Any, execution: Any) -> Any:
        ref: Ref = await run.ref_of(self._target)
        done, outcomes = anyio.Event(), list[Outcome]()

        async def ask(task: Task) -> None:
            try:
                outcomes.append(Outcome(await ref.ask(value)))
            except Exception as error:  # noqa: BLE001 – handed over below
                outcomes.append(Outcome(error=error))
            done.set()

        run.interior.driver.spawn(ask, "ceylon leak")
        await done.wait()
        return outcomes[0].get()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AgentUnit, "perform", broken)
        yield
