"""What can go wrong with an answer, and how a server makes it so."""

from collections.abc import Callable
from typing import Final

import anyio
import msgspec

from ceylon.testing.dialect_pieces import Payload
from ceylon.testing.every_dialect import failure
from ceylon.testing.http_server import Connection

__all__ = ["Fault", "replaced", "send_broken"]

_NOT_AN_ANSWER: Final = 300


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with one answer; without any field set, nothing."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes | None = None  # instead of the answer, whole
    pieces: tuple[bytes, ...] | None = None  # instead of the answer, as a stream
    raw: bytes | None = None  # written as it is, headers and all; then the connection is closed
    cut_at: int | None = None  # so many bytes of the body, then the connection is dropped …
    ends_cleanly: bool = False  # … or the answer ended as if it were whole
    reset: bool = False  # an RST instead of an orderly close; alone: before any answer
    hold_after: int | None = None  # so many pieces, then nothing until `release`
    endless: bytes = b""  # after the headers: this, for ever …
    pause: float = 0.0  # … with so many seconds between

    @property
    def is_broken(self) -> bool:
        """Whether the answer is not sent as HTTP wants it."""
        return self.raw is not None or bool(self.endless) or self.cut_at is not None or self.reset


def replaced(payload: Payload, fault: Fault, dialect: str) -> Payload:
    """Return *payload* with what *fault* puts in its place."""
    if fault.body is not None:
        return Payload("application/json", (fault.body,), is_stream=False)
    if fault.pieces is not None:
        kind = "application/x-ndjson" if dialect == "ollama" else "text/event-stream"
        return Payload(kind, fault.pieces, is_stream=True)
    if fault.status >= _NOT_AN_ANSWER:
        return Payload("application/json", (failure(dialect, fault.status, "it broke"),), is_stream=False)
    return payload


async def send_broken(connection: Connection, fault: Fault, payload: Payload, note: Callable[[int], None]) -> None:
    """Send what *fault* leaves of *payload*, and close; *note* hears how many endless bytes are out."""
    headers = {"content-type": payload.content_type, **fault.headers}
    if fault.raw is not None:
        await connection.write(fault.raw)
    elif fault.endless:
        await connection.begin(fault.status, headers)
        while True:
            await connection.send(fault.endless)
            note(len(fault.endless))
            await anyio.sleep(fault.pause)
    elif fault.cut_at is not None:
        await _send_cut(connection, fault, payload, headers)
    if not fault.ends_cleanly:
        await connection.aclose(reset=fault.reset)


async def _send_cut(connection: Connection, fault: Fault, payload: Payload, headers: dict[str, str]) -> None:
    body = b"".join(payload.pieces)
    if payload.is_stream:
        await connection.begin(fault.status, headers)
        await connection.send(body[: fault.cut_at])
        if fault.ends_cleanly:
            await connection.end()
        return
    length = fault.cut_at if fault.ends_cleanly else len(body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "content-length": str(length)}.items())
    await connection.write(f"HTTP/1.1 {fault.status} OK\r\n{lines}\r\n".encode() + body[: fault.cut_at])
