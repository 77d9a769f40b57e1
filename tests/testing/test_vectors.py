"""Vectors in a cassette: they come back bit for bit, in as little room as that takes, and no edit goes unnoticed."""

import struct
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.testing.vectors import check_packed, packed, unpacked

WIDE = st.lists(st.floats(allow_nan=False), max_size=8)
NARROW = st.lists(st.floats(allow_nan=False, width=32), max_size=8)


def bits(numbers: list[float]) -> bytes:
    return array("d", numbers).tobytes()


@given(WIDE | NARROW)
def test_a_vector_comes_back_bit_for_bit(vector: list[float]) -> None:
    assert bits(unpacked(packed(vector))) == bits(vector)


@given(NARROW)
def test_what_an_engine_computes_in_32_bits_is_kept_in_32(vector: list[float]) -> None:
    assert packed(vector)["numbers"] == "float32"


@pytest.mark.parametrize("number", [0.1, -0.012345678, 1e-7, 3.4e38, 16777217.0 / 3, -0.0])
def test_the_shortest_decimals_of_such_numbers_are_too(number: float) -> None:
    wanted = struct.pack("<f", number)
    (narrow,) = struct.unpack("<f", wanted)
    decimals = (float(f"{narrow:.{digits}g}") for digits in range(1, 10))
    decimal = next(each for each in decimals if struct.pack("<f", each) == wanted)

    made = packed([decimal, 0.5])

    assert made["numbers"] in {"decimals of float32", "float32"}
    assert bits(unpacked(made)) == bits([decimal, 0.5])


def test_what_needs_64_bits_has_them() -> None:
    assert packed([1 / 3, 0.5])["numbers"] == "float64"
    assert packed([1e300])["numbers"] == "float64"


def test_a_vector_takes_a_third_of_what_its_decimals_take() -> None:
    vector = [round(each / 7_919, 7) for each in range(1, 769)]

    made = packed(vector)

    assert made["numbers"] == "decimals of float32"
    assert len(made["base64"]) * 2 < sum(len(f"- {each}\n") for each in vector)


GOOD = packed([0.25, 0.5])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base64": packed([0.25, 0.75])["base64"]}, "is not what its check"),
        ({"check": "crc32 00000000"}, "is not what its check crc32 00000000 says"),
        ({"length": 3}, "2 numbers instead of 3"),
        ({"numbers": "float16"}, "'float16' is no kind"),
        ({"base64": "!"}, "no base64"),
        ({"more": "x"}, "a vector has numbers, length, check and base64"),
    ],
)
def test_an_edit_is_noticed(change: dict[str, Any], says: str) -> None:
    for read in (check_packed, unpacked):
        with pytest.raises(ValueError, match=says):
            read({**GOOD, **change})
