"""A race waits for those that have lost."""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from ceylon.pipelines.policies import RaceUnit


class PatientRun:
    """A run whose crews are patient."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def crew(self) -> Any:
        """Return one that cancels nobody."""
        crew = self._run.crew()
        crew.cancel = lambda: None
        return crew


@contextlib.contextmanager
def plant() -> Generator[None]:
    perform = RaceUnit.perform

    async def broken(self: RaceUnit, run: Any, value: Any, execution: Any) -> Any:
        patient: Any = PatientRun(run)
        return await perform(self, patient, value, execution)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RaceUnit, "perform", broken)
        yield
