r"""Cut a byte stream into NDJSON lines or server-sent events, wherever the network happened to cut it.

Only the bytes the formats name end a line: ``\n`` for NDJSON; ``\n``, ``\r`` and ``\r\n`` for server-sent events.
Text splitters also cut at U+2028, U+0085 and others, in the middle of JSON strings. Both parsers take linear time,
hold at most one event, and refuse invalid UTF-8 instead of replacing it.

Source of the event format: the HTML standard, "Server-sent events", section "Interpreting an event stream".
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from ceylon.errors import ModelProtocolError
from ceylon.settings import DEFAULTS

__all__ = ["DONE", "BodyParser", "Event", "EventParser", "LineParser"]

DONE: Final = b"[DONE]"
"""The data of the last event in OpenAI's dialect; the only one that is not JSON."""

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 0x0A
_CR: Final = 0x0D


class Event(NamedTuple):
    """One server-sent event: its type, empty where the server gave none, and its data."""

    type: str
    data: bytes


class _Pending:
    """The unfinished last line, in the pieces it came in."""

    def __init__(self, most: int) -> None:
        self._pieces: list[bytes] = []
        self._size, self._most = 0, most
        self._is_first = True

    def add(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        if self._size > self._most:
            sentence = f"a line of the stream is longer than {self._most} bytes"
            raise ModelProtocolError(sentence)
        self._pieces.append(piece)

    def take(self) -> bytes:
        """Return the line, checked to be UTF-8, and begin the next one."""
        line = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        if not line.isascii():
            _check_utf8(line)
        return line


class LineParser:
    """NDJSON: yields the lines that are not blank."""

    def __init__(self, *, max_line: int = DEFAULTS.model_max_event, max_lines: int = DEFAULTS.model_max_events) -> None:
        self._pending = _Pending(max_line)
        self._left = max_lines

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that *chunk* completes."""
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            self._pending.add(piece)
            yield from self._finish_line()
        self._pending.add(rest)

    def finish(self) -> Iterator[bytes]:
        """Yield the last line, if only its end is missing: a piece of JSON is what the stream broke off in."""
        yield from filter(_is_whole, self._finish_line())

    def _finish_line(self) -> Iterator[bytes]:
        line = self._pending.take().strip(b" \t\r")
        if not line:
            return
        self._left -= 1
        if self._left < 0:
            sentence = "the stream has too many lines"
            raise ModelProtocolError(sentence)
        yield line


class EventParser:
    """Server-sent events: yields those that have data; comments, ids and retry times are of no use here."""

    def __init__(
        self, *, max_event: int = DEFAULTS.model_max_event, max_events: int = DEFAULTS.model_max_events
    ) -> None:
        self._pending = _Pending(max_event)
        self._max_event, self._left = max_event, max_events
        self._ended_with_cr = False
        self._type = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that *chunk* completes."""
        if not chunk:
            return
        if self._ended_with_cr and chunk[0] == _LF:
            chunk = chunk[1:]  # the second half of a \r\n cut in two
        self._ended_with_cr = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):  # of bytes: splits at \n, \r and \r\n only
            ended = line[-1] in (_LF, _CR)
            self._pending.add(line.rstrip(b"\r\n") if ended else line)
            if ended:
                yield from self._read_line(self._pending.take())

    def finish(self) -> Iterator[Event]:
        """Yield the last event, if only its end is missing: a piece of JSON is what the stream broke off in."""
        line = self._pending.take()
        if line:
            yield from self._read_line(line)
        yield from (event for event in self._dispatch() if event.data == DONE or _is_whole(event.data))

    def _read_line(self, line: bytes) -> Iterator[Event]:
        if not line:
            yield from self._dispatch()
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value) + 1
            if self._size > self._max_event:
                sentence = f"an event of the stream is longer than {self._max_event} bytes"
                raise ModelProtocolError(sentence)
            self._data.append(value)
        elif field == b"event":
            self._type = value.decode()

    def _dispatch(self) -> Iterator[Event]:
        lines, kind = self._data, self._type
        self._data, self._type, self._size = [], "", 0
        if not lines:
            return
        self._left -= 1
        if self._left < 0:
            sentence = "the stream has too many events"
            raise ModelProtocolError(sentence)
        yield Event(kind, lines[0] if len(lines) == 1 else b"\n".join(lines))


class BodyParser:
    """No stream at all: the whole body is the one event."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Keep *chunk*."""
        self._pieces.append(chunk)
        return iter(())

    def finish(self) -> Iterator[Event]:
        """Yield the body."""
        yield Event("", b"".join(self._pieces))


def _is_whole(data: bytes) -> bool:
    """Return whether *data* is JSON to its end."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _check_utf8(line: bytes) -> None:
    """Raise unless *line* is UTF-8: text is refused, never repaired in silence."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        sentence = f"the stream is not UTF-8: {error.reason} at byte {error.start} of a line"
        raise ModelProtocolError(sentence) from None
