"""A file of what models were asked and answered, and what agents read of clock and chance: text to be reviewed."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from ceylon.errors import describe
from ceylon.models.scripted import ScriptError
from ceylon.testing.exchanges import Exchange, abilities_of, plain
from ceylon.testing.outline import OutlineError, read, write

__all__ = ["Cassette", "CassetteError"]

_VERSION: Final = 1
_HEAD: Final = (
    "# What models were asked and answered; ceylon.testing.record wrote it and replays it. Review it like code.\n"
)


class CassetteError(ScriptError):
    """What happens is not what the cassette has, or there is no such cassette; the sentence says what to do."""


class Cassette(msgspec.Struct, forbid_unknown_fields=True):
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
        """Write the file, whole or not at all.

        Raises:
            CassetteError: it cannot be written.
        """
        text = _HEAD + write(_ordered(plain(self)))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            sentence = f"{path} cannot be written: {error}"
            raise CassetteError(sentence) from error

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
        except OSError as error:
            sentence = f"{path} cannot be read: {error}"
            raise CassetteError(sentence) from error
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: bytes, path: Path) -> "Cassette":
        """Return what *content*, of the file *path*, says; raises like `load`."""
        try:
            text = content.decode("utf-8-sig").replace("\r\n", "\n")  # what editors and git make of it elsewhere
            made = msgspec.convert(read(text), cls)
        except (OutlineError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
            conflict = b"\n<<<<<<< " in b"\n" + content
            said = "it has conflict markers of a merge" if conflict else str(error)
            sentence = f"{path} is no cassette that can be read: {said}; record it again with CEYLON_RECORD=1"
            raise CassetteError(sentence) from None
        if made.cassette != _VERSION:
            sentence = f"{path} is of version {made.cassette}, and this Ceylon reads {_VERSION}; record it again"
            raise CassetteError(sentence)
        made.check(path)
        return made

    def check(self, path: Path) -> None:
        """Raise `CassetteError` for what no recording has written, and no replay could give back."""
        for number, exchange in enumerate(self.exchanges, 1):
            try:
                exchange.check()
            except (msgspec.ValidationError, LookupError, TypeError, ValueError, AttributeError) as error:
                sentence = f"{path}: exchange {number} cannot be replayed: {describe(error)}; record it again"
                raise CassetteError(sentence) from None
        for name, abilities in self.models.items():
            try:
                abilities_of(abilities)
            except msgspec.ValidationError as error:
                sentence = f"{path}: the abilities of {name} cannot be: {error}; record it again"
                raise CassetteError(sentence) from None


def _ordered(content: dict[str, Any]) -> dict[str, Any]:
    """Return the sections in one order: what does not depend on who was faster comes sorted."""
    for section in ("models", "reads"):
        if section in content:
            content[section] = dict(sorted(content[section].items()))
    return {"cassette": _VERSION, **{name: each for name, each in content.items() if name != "cassette"}}
