"""The file a batch resumes from: each answer a line of JSON, appended the moment it is there."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from ceylon.errors import ArgumentError
from ceylon.models.turns import Usage

__all__ = ["Journal", "Line"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One answered query: its position, and a hash of the query and of all that the answer depends on."""

    index: int
    key: str
    text: str
    usage: Usage = Usage()


class Journal:
    """Reads the answers of an earlier run and appends those of this one.

    A line cut short by a kill is dropped and its query asked again. One run at a time: two would ask everything twice.
    """

    def __init__(self, path: "str | os.PathLike[str]", fingerprint: bytes) -> None:
        self._path = Path(path)
        self._fingerprint = fingerprint
        self._file: BinaryIO | None = None
        self._answered: dict[tuple[int, str], Line] = {}

    def open(self) -> None:
        """Read what is there, and be ready to append; blocks for as long as the disk takes.

        Raises:
            ArgumentError: the file holds something else.
        """
        self._path.touch()
        whole = self._path.read_bytes()
        complete = whole[: whole.rfind(b"\n") + 1]
        for number, text in enumerate(complete.splitlines(), start=1):
            try:
                line = msgspec.json.decode(text, type=Line)
            except msgspec.MsgspecError as error:
                message = f"line {number} of {str(self._path)!r} is no answer of a batch; is it the right file?"
                raise ArgumentError(message) from error
            self._answered[line.index, line.key] = line
        self._file = self._path.open("r+b")
        self._file.truncate(len(complete))
        self._file.seek(0, os.SEEK_END)

    def find(self, index: int, query: str) -> Line | None:
        """Return the answer to *query* at position *index*, if an earlier run got it."""
        return self._answered.get((index, self._key(query)))

    def append(self, index: int, query: str, text: str, usage: Usage) -> None:
        """Keep an answer; it is with the operating system when this returns, so a killed process loses nothing."""
        if self._file is None:
            return
        line = Line(index=index, key=self._key(query), text=text, usage=usage)
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _key(self, query: str) -> str:
        text = query.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=hashlib.blake2b(self._fingerprint).digest(), digest_size=16).hexdigest()
