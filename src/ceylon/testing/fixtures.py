"""What the fixtures of the pytest plugin do, for whoever has no pytest: a mesh whose end is checked."""

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import anyio
import msgspec

from ceylon.core.blocking import BlockingMesh
from ceylon.core.mesh import Mesh
from ceylon.errors import LawBrokenError
from ceylon.settings import DEFAULTS, Settings
from ceylon.testing.fingerprints import fingerprinting
from ceylon.testing.law import LawWatch
from ceylon.testing.leftovers import Leftovers, nothing_leaked

__all__ = ["checked_blocking_mesh", "checked_mesh", "settings_for_tests"]

_PATIENCE: Final = 5.0
"""Seconds until what is about to end counts as left behind; a busy machine is slow, not wrong."""

_PAUSE: Final = 0.002


def settings_for_tests(**changes: Any) -> Settings:
    """Return the settings that meshes of tests have: ends that come soon, and handlers that may not hang."""
    quick: dict[str, Any] = {"drain_timeout": 2.0, "stop_grace": 1.0, "handler_timeout": 10.0}
    return msgspec.structs.replace(DEFAULTS, **{**quick, **changes})


@asynccontextmanager
async def checked_mesh(name: str = "test", *, checks_law: bool = True, **settings: Any) -> AsyncGenerator[Mesh]:
    """Open a mesh on the running loop; close it at the end, and check what it was and what it leaves.

    Raises:
        AssertionError: the law was broken at a quiescent point or at the end, an ask never ended, a message was
            changed after it was sent, or a thread, task or timer of Ceylon's, or a socket, is left behind.
    """
    before, changed = Leftovers.now(), list[str]()
    with LawWatch() as watch:
        with fingerprinting(changed):
            made = Mesh(name, settings=settings_for_tests(**settings))
        mesh = await made.start()
        try:
            yield mesh
        finally:
            with suppress(LawBrokenError):  # judged below
                await mesh.stop()
    if checks_law:
        _judge_law(watch, mesh.interior.breach)
    _judge(changed, name, "saw that message ")
    end = time.monotonic() + _PATIENCE
    while (violations := nothing_leaked(before, Leftovers.now(mesh))) and time.monotonic() < end:  # noqa: ASYNC110 – nobody tells of the end of a thread
        await anyio.sleep(_PAUSE)
    _judge(violations, name)


@contextmanager
def checked_blocking_mesh(name: str = "test", *, checks_law: bool = True, **settings: Any) -> Generator[BlockingMesh]:
    """Open a mesh on a thread of its own; otherwise as `checked_mesh`."""
    before, changed = Leftovers.now(), list[str]()
    with LawWatch() as watch:
        with fingerprinting(changed):
            made = BlockingMesh(name, settings=settings_for_tests(**settings))
        mesh = made.start()
        try:
            yield mesh
        finally:
            with suppress(LawBrokenError):  # judged below
                mesh.stop()
    if checks_law:
        _judge_law(watch, mesh.interior.breach)
    _judge(changed, name, "saw that message ")
    end = time.monotonic() + _PATIENCE
    while (violations := nothing_leaked(before, Leftovers.now(mesh))) and time.monotonic() < end:
        time.sleep(_PAUSE)
    _judge(violations, name)


def _judge_law(watch: LawWatch, broken: LawBrokenError | None) -> None:
    """Raise what the watch has seen, which says most; else what the mesh itself has."""
    watch.verify()
    if broken is not None:
        raise AssertionError(str(broken)) from broken


def _judge(violations: list[str], name: str, what: str = "left something behind: ") -> None:
    if violations:
        raise AssertionError("\n".join(f"mesh {name!r} {what}{violation}" for violation in violations))
