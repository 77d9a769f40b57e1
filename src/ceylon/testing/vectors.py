"""Vectors as lines of a cassette: how many numbers of which kind, a checksum, and the numbers themselves as base64.

As decimals they would fill screens that nobody reads, and take two to four times the room. So a vector is one long line
that diff tools fold, with a short one before it that says at once whether it has changed. The numbers come back bit for
bit: as 32-bit numbers where all of them are some (an engine in C computes in those), or are the shortest decimals of
some (what JSON has of them), and as 64-bit ones otherwise.
"""

import base64
import binascii
import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

__all__ = ["check_packed", "packed", "unpacked"]

_DIGITS: Final = range(6, 10)  # a number of 32 bits has 6 for certain and never needs more than 9
_NARROW: Final = struct.Struct("<f")
_FORM: Final = {"numbers", "length", "check", "base64"}


def packed(vector: Sequence[float]) -> dict[str, Any]:
    """Return *vector* as plain data, from which `unpacked` makes the same numbers again."""
    wanted = array("d", vector).tobytes()
    kind = next(kind for kind, (_, widen) in _KINDS.items() if _bytes_of(widen(_narrow(kind, vector))) == wanted)
    content = _little(_narrow(kind, vector)).tobytes()
    return {
        "numbers": kind,
        "length": len(vector),
        "check": _check(content),
        "base64": base64.b64encode(content).decode("ascii"),
    }


def unpacked(packed_vector: dict[str, Any]) -> list[float]:
    """Return the vector; raises like `check_packed`."""
    numbers = _numbers_of(packed_vector)
    _, widen = _KINDS[packed_vector["numbers"]]
    return widen(numbers)


def check_packed(packed_vector: dict[str, Any]) -> None:
    """Check it without making numbers of it, which takes a millisecond or two.

    Raises:
        ValueError: it is not what `packed` has made.
    """
    _numbers_of(packed_vector)


def _numbers_of(packed_vector: dict[str, Any]) -> "array[float]":
    if set(packed_vector) != _FORM:
        sentence = "a vector has numbers, length, check and base64"
        raise ValueError(sentence)
    kind, length = packed_vector["numbers"], packed_vector["length"]
    if kind not in _KINDS:
        sentence = f"{kind!r} is no kind of numbers"
        raise ValueError(sentence)
    try:
        content = base64.b64decode(packed_vector["base64"], validate=True)
    except binascii.Error as error:
        sentence = f"the numbers of a vector are no base64: {error}"
        raise ValueError(sentence) from None
    if _check(content) != packed_vector["check"]:
        sentence = f"a vector is not what its check {packed_vector['check']} says"
        raise ValueError(sentence)
    numbers: array[float] = array(_KINDS[kind][0])
    numbers.frombytes(content)
    if len(numbers) != length:
        sentence = f"a vector has {len(numbers)} numbers instead of {length}"
        raise ValueError(sentence)
    return _little(numbers)


def _narrow(kind: str, vector: Sequence[float]) -> "array[float]":
    return array(_KINDS[kind][0], vector)


def _little(numbers: "array[float]") -> "array[float]":
    """Return *numbers* with the other order of bytes, where the machine has that."""
    if sys.byteorder == "little":
        return numbers
    turned = numbers[:]
    turned.byteswap()
    return turned


def _bytes_of(numbers: Sequence[float]) -> bytes:
    return array("d", numbers).tobytes()


def _check(content: bytes) -> str:
    return f"crc32 {zlib.crc32(content):08x}"


def _shortest(number: float) -> float:
    """Return the shortest decimal that means the 32-bit *number*, as a number of 64 bits."""
    for digits in _DIGITS:
        made = float(f"{number:.{digits}g}")
        if _narrowed(made) == number:
            return made
    return number


def _narrowed(number: float) -> float:
    """Return *number* as one of 32 bits has it."""
    narrow: float
    (narrow,) = _NARROW.unpack(_NARROW.pack(number))
    return narrow


def _as_they_are(numbers: "array[float]") -> list[float]:
    return list(numbers)


def _as_decimals(numbers: "array[float]") -> list[float]:
    return [_shortest(number) for number in numbers]


_KINDS: Final[dict[str, tuple[Literal["f", "d"], Callable[["array[float]"], list[float]]]]] = {
    "float32": ("f", _as_they_are),
    "decimals of float32": ("f", _as_decimals),
    "float64": ("d", _as_they_are),
}
