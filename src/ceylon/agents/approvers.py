"""Agents that answer approval requests for people: on the terminal, or at a desk where another handler decides."""

import contextlib
import json
import sys
import unicodedata
from typing import Final

import anyio

from ceylon.agents.action import action
from ceylon.agents.agent import Agent
from ceylon.agents.approvals import ApprovalRequest, Approved, Denied
from ceylon.core.marking import on
from ceylon.errors import ArgumentError
from ceylon.settings import DEFAULTS

try:
    import termios
except ImportError:  # Windows: what was typed before the question is not thrown away there
    termios = None  # type: ignore[assignment]

__all__ = ["ApprovalDesk", "TerminalApprover", "visible"]

_YES: Final = frozenset({"y", "yes"})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, bidi and zero-width characters …
_PATIENCE: Final = (
    10 * 365 * 86_400.0
)  # seconds: the question has a clock of its own, whatever the mesh's handlers have
_BESIDES_DECIDING: Final = 8  # slots that open requests leave to those who decide about them


def visible(text: str) -> str:
    """Return *text* with every character escaped that a terminal would obey or not show; line ends stay."""
    return "".join(
        char if char == "\n" or unicodedata.category(char) not in _HIDDEN else _escaped(char) for char in text
    )


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004 – what four digits hold


class TerminalApprover(Agent):
    """Asks on the terminal, one request at a time, with the exact arguments; anything but an explicit yes is a no.

    Where there is no terminal it denies at once, and says so.
    """

    handler_timeout = _PATIENCE

    @on
    def decide(self, request: ApprovalRequest) -> Approved | Denied:
        """Show *request* and wait for a line; in a thread, so that nobody else waits."""
        terminal = sys.stdin
        if terminal is None or terminal.closed or not terminal.isatty():
            return Denied("there is no terminal to ask on")
        _forget_what_was_typed()
        sys.stdout.write(question(request))
        sys.stdout.flush()
        line = terminal.readline()
        if line.strip().lower() in _YES:
            return Approved(request.digest)
        return Denied("the answer on the terminal was no" if line else "the terminal was closed")


def question(request: ApprovalRequest) -> str:
    """Return what a person is asked: everything, as it is, in letters that cannot deceive."""
    arguments = json.dumps(request.arguments, indent=2, ensure_ascii=False, sort_keys=True)
    asked = f"\nMay {request.agent} run {request.action} with exactly these arguments?\n{arguments}\n"
    return f"{visible(asked)}Type yes to allow it, anything else to deny it: "


def _forget_what_was_typed() -> None:
    """Throw away what was typed before the question could be read."""
    if termios is not None:
        with contextlib.suppress(OSError, ValueError, termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)


class ApprovalDesk(Agent):
    """Keeps requests open until another handler decides: a web page, a chat, a script, hours later.

    ``await desk.call("waiting")`` lists them, ``await desk.call("approve", digest=…)`` and
    ``await desk.call("deny", digest=…, reason=…)`` answer one each. A request whose run has ended is gone.
    """

    concurrency = DEFAULTS.open_approvals + _BESIDES_DECIDING
    handler_timeout = _PATIENCE

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._open: dict[str, _Entry] = {}

    @on
    async def decide(self, request: ApprovalRequest) -> Approved | Denied:
        """Wait until somebody has decided."""
        if len(self._open) >= DEFAULTS.open_approvals:
            return Denied(f"{len(self._open)} requests are open already")
        if request.digest in self._open:
            return Denied("the same request is open already")
        entry = self._open[request.digest] = _Entry(request)
        try:
            await entry.decided.wait()
        finally:
            self._open.pop(request.digest, None)
        return entry.answer

    @action
    async def waiting(self) -> list[ApprovalRequest]:
        """Return the open requests, the oldest first."""
        return [entry.request for entry in self._open.values()]

    @action
    async def approve(self, digest: str) -> None:
        """Allow the one request that *digest* stands for."""
        self._take(digest).decide(Approved(digest))

    @action
    async def deny(self, digest: str, reason: str = "") -> None:
        """Refuse it, for a *reason* that whoever wanted it is told."""
        self._take(digest).decide(Denied(reason))

    def _take(self, digest: str) -> "_Entry":
        entry = self._open.pop(digest, None)
        if entry is None:
            message = f"no open request has the digest {digest[:64]!r}; it was decided, or its run has ended"
            raise ArgumentError(message)
        return entry


class _Entry:
    """One open request."""

    def __init__(self, request: ApprovalRequest) -> None:
        self.request = request
        self.decided = anyio.Event()
        self.answer: Approved | Denied = Denied()

    def decide(self, answer: Approved | Denied) -> None:
        self.answer = answer
        self.decided.set()
