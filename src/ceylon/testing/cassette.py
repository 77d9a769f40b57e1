"""A file of what models were asked and answered, and what agents read of clock and chance: text to be reviewed."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from ceylon.models.scripted import ScriptError
from ceylon.testing.exchanges import Exchange, plain
from ceylon.testing.outline import OutlineError, read, write

__all__ = ["Cassette", "CassetteError"]

_VERSION: Final = 1
_HEAD: Final = (
    "# What models were asked and answered; ceylon.testing.record wrote it and replays it. Review it like code.\n"
)


class CassetteError(ScriptError):
    """What happens is not what the cassette has, or there is no such cassette; the sentence says what to do."""


class Cassette(msgspec.Struct):
    """What is in the file, as plain data with secrets masked.

    Attributes:
        models: The abilities of each model, but for those that are as always.
        exchanges: In the order in which they began.
        reads: By mesh, agent and kind (``clock``, ``chance``): what was read, in order.
    """

    cassette: int = _VERSION
    models: dict[str, dict[str, Any]] = {}
    exchanges: list[Exchange] = []
    reads: dict[str, list[int | float]] = {}

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _HEAD + write(_ordered(plain(self)))
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).replace(path)

    @classmethod
    def load(cls, path: Path) -> "Cassette":
        """Read the file.

        Raises:
            CassetteError: it is not there, or cannot be read.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            sentence = f"there is no cassette {path}; record it with CEYLON_RECORD=1"
            raise CassetteError(sentence) from None
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: bytes, path: Path) -> "Cassette":
        """Return what *content*, of the file *path*, says; raises like `load`."""
        try:
            made = msgspec.convert(read(content.decode()), cls)
        except (OutlineError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
            sentence = f"{path} is no cassette that can be read: {error}; record it again with CEYLON_RECORD=1"
            raise CassetteError(sentence) from None
        if made.cassette != _VERSION:
            sentence = f"{path} is of version {made.cassette}, and this Ceylon reads {_VERSION}; record it again"
            raise CassetteError(sentence)
        return made


def _ordered(content: dict[str, Any]) -> dict[str, Any]:
    """Return the sections in one order: what does not depend on who was faster comes sorted."""
    for section in ("models", "reads"):
        if section in content:
            content[section] = dict(sorted(content[section].items()))
    return {"cassette": _VERSION, **{name: each for name, each in content.items() if name != "cassette"}}
