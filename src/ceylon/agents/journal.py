"""The file a batch resumes from: each answer a line of JSON, appended the moment it is there."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ceylon.errors import ArgumentError
from ceylon.models.turns import Usage

__all__ = ["Journal", "Line"]

_START: Final = b'{"index":'  # of every line of ours, also of one that was cut short


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One answered query: its position, and a hash of the query and of all that the answer depends on."""

    index: int
    key: str
    text: str
    usage: Usage = Usage()


class Journal:
    """Reads the answers of an earlier run and appends those of this one; nothing is ever taken out of the file.

    A line cut short by a kill stays as it is, and its query is asked again. One run at a time: two would ask everything
    twice.
    """

    def __init__(self, path: "str | os.PathLike[str]", fingerprint: bytes) -> None:
        self._given = path
        self._key_of_settings = hashlib.blake2b(fingerprint).digest()
        self._file: BinaryIO | None = None
        self._answered: dict[tuple[int, str], Line] = {}

    def open(self) -> None:
        """Read what is there, and be ready to append; blocks for as long as the disk takes.

        Raises:
            ArgumentError: the file holds something else, or cannot be written.
        """
        try:
            path = Path(self._given)
            self._file = path.open("ab", buffering=0)
            whole = path.read_bytes()
            self._read(whole)
            if whole and not whole.endswith(b"\n"):
                self._file.write(b"\n")
        except (OSError, TypeError, ValueError) as error:
            self.close()
            if isinstance(error, ArgumentError):
                raise
            message = f"resume={self._given!r} is no file that answers can be kept in: {error}"
            raise ArgumentError(message) from error

    def _read(self, whole: bytes) -> None:
        for number, text in enumerate(whole.split(b"\n"), start=1):
            if not text:
                continue
            try:
                line = msgspec.json.decode(text, type=Line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                if _is_cut_short(text):
                    continue
                message = (
                    f"line {number} of resume={str(self._given)!r} is no answer of a batch; "
                    "name the file of the run to go on with, or one that is not there yet"
                )
                raise ArgumentError(message) from error
            self._answered[line.index, line.key] = line

    def find(self, index: int, query: object) -> Line | None:
        """Return the answer to *query* at position *index*, if an earlier run got it."""
        return self._answered.get((index, self._key(query))) if isinstance(query, str) else None

    def append(self, index: int, query: str, text: str, usage: Usage) -> None:
        """Keep an answer; it is with the operating system when this returns, so a killed process loses nothing."""
        if self._file is not None:
            line = Line(index=index, key=self._key(query), text=text, usage=usage)
            self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _key(self, query: str) -> str:
        text = query.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key_of_settings, digest_size=16).hexdigest()


def _is_cut_short(text: bytes) -> bool:
    """Say whether *text* is the beginning of a line of ours that was never finished."""
    if not (text.startswith(_START) or _START.startswith(text)):
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    return False
