"""Python programs that a test runs as processes of their own, interrupts, and reads to the end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Final

import pytest

__all__ = ["Script", "assert_quiet", "run", "without_final_interrupt"]

DEADLINE: Final = 60.0
SPAM: Final = ("never retrieved", "was destroyed", "never awaited", "Traceback (most", "Exception ignored")

PRELUDE: Final = """
    import asyncio, os, signal, sys, threading
    import anyio, msgspec
    from ceylon import *
    from ceylon.settings import DEFAULTS

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have left it ignored

    def say(word):
        os.write(1, f"{word}\\n".encode())  # at once: `print` writes the line's end by itself, after another thread's

    def say_when(condition, word):
        def watch():
            while not condition():
                threading.Event().wait(0.001)
            say(word)
        threading.Thread(target=watch, daemon=True).start()

    def say_when_waited_for():  # until somebody waits for the mesh's end, SIGTERM ends the program as it would any
        say_when(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, "waited for")

    class Shop(Agent):
        async def on_start(self):
            self.is_inside = anyio.Event()

        async def on_stop(self):
            await anyio.lowlevel.checkpoint()
            say("on_stop")

        @on
        async def sleep(self, seconds: float):
            say("ready")
            try:
                await anyio.sleep(60)
            finally:
                say("cancelled")

        @on
        async def echo(self, word: str) -> str:
            return word

    class Sync(Agent):
        def on_message(self, message, context=None):
            return message + 1

    # Nothing here is stuck: the grace is never waited for, only had by what a busy machine keeps waiting.
    SHORT_DRAIN = msgspec.structs.replace(DEFAULTS, stop_grace=30.0, drain_timeout=0.5)
    QUICK = msgspec.structs.replace(SHORT_DRAIN, drain_timeout=300.0)
"""


class Script:
    """A Python program under way; what it prints is read line by line."""

    def __init__(self, source: str, folder: Path) -> None:
        path = folder / "script.py"
        path.write_text(textwrap.dedent(PRELUDE) + textwrap.dedent(source), encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603 – our own program
            [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def wait_for(self, *words: str) -> None:
        """Read until the program has said each of the *words*, in any order."""
        assert self._process.stdout is not None
        missing = set(words)
        for line in self._process.stdout:
            missing.discard(line.strip())
            if not missing:
                return
        _, errors = self.end()
        pytest.fail(f"{sorted(missing)} was never said; stderr: {errors}")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send(signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Let the program go on, so that what comes next falls at some moment or other."""
        time.sleep(seconds)

    def end(self, within: float = DEADLINE) -> tuple[list[str], str]:
        """Wait for the program's end; return what else it said, and its stderr."""
        try:
            said, errors = self._process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, errors = self._process.communicate()
            pytest.fail(f"the script hangs; it said {said!r}, stderr: {errors}")
        slow = [line for line in errors.splitlines(keepends=True) if line.startswith("Executing <")]
        for line in slow:  # asyncio's debug mode names what took 0.1 s, which anything may on a busy machine
            errors = errors.replace(line, "")
        return said.split("\n")[:-1], errors

    @property
    def exit_code(self) -> int:
        """How it ended; a shell shows death by SIGINT (-2) as 130."""
        code = self._process.returncode
        return 128 - code if code < 0 else code


def without_final_interrupt(errors: str) -> str:
    """Return what is on stderr besides the one traceback of the KeyboardInterrupt that ends the script."""
    head, mark, tail = errors.partition("Traceback (most recent call last):")
    if not mark:
        return errors
    body, mark, rest = tail.rpartition("KeyboardInterrupt")
    assert mark, errors
    return head + body.replace("Traceback (most recent call last):", "", 2) + rest


def assert_quiet(errors: str) -> None:
    """Fail on what a user would have to puzzle over."""
    found = [spam for spam in SPAM if spam in errors]
    assert not found, f"{found} in stderr:\n{errors}"


def run(source: str, folder: Path) -> list[str]:
    """Run a script that ends by itself, in order and in silence."""
    script = Script(source, folder)
    said, errors = script.end()
    assert (script.exit_code, errors) == (0, ""), errors
    return said
