"""The lines of a cassette: the same for the same data, read again to the same, and nothing hidden in them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.testing.outline import OutlineError, read, write

TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="ab \n-:#|\"'{[\t\u2028\r\x85\xa0,yesn0.!&"),
    st.text(st.characters(exclude_categories=())),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    lines = write(value)

    assert read(lines) == value
    assert write(read(lines)) == lines
    lines.encode()  # a lone surrogate is escaped


@given(VALUES)
def test_all_that_is_written_can_be_seen(value: Any) -> None:
    hidden = [each for each in write(value).replace("\n", "") if each != " " and not each.isprintable()]

    assert not hidden


SAMPLE = {
    "plain": "What is tea?",
    "model": "openai::gpt-4.1-mini",
    "word": "yes",
    "number": "1e3",
    "block": "one\n  two\n\nthree",
    "ends": "one\ntwo\n",
    "padded": " x ",
    "hidden": "a\u202eb\u200b",
    "empty": ["", [], {}, None, True, 0.5, -3],
    "deep": [{"a": {"b": [{"c": "d e"}, ["f"]]}}, "g"],
    'it\'s "so"': "# no comment",
}
LINES = """\
plain: What is tea?
model: openai::gpt-4.1-mini
word: "yes"
number: "1e3"
block: |-
  one
    two

  three
ends: |
  one
  two
padded: " x "
hidden: "a\\u202eb\\u200b"
empty:
  - ""
  - []
  - {}
  - null
  - true
  - 0.5
  - -3
deep:
  - a:
      b:
        - c: d e
        -
          - f
  - g
"it's \\"so\\"": "# no comment"
"""


def test_the_lines_are_the_ones_a_person_would_write() -> None:
    assert write(SAMPLE) == LINES
    assert read("# a comment\n" + LINES) == SAMPLE


def test_numbers_that_json_has_not_are_read_again() -> None:
    assert read(write([math.inf, -math.inf])) == [math.inf, -math.inf]
    assert math.isnan(read(write(math.nan)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n b: 2\n", 2),
        ("a: 1\nb\n", 2),
        ("a: b: c\n", 1),
        ("a:\n", 2),
        ("- 1\nb: 2\n", 2),
        ("a: 'x\n", 1),
        ('"a: 1\n', 1),
    ],
)
def test_lines_that_nobody_wrote_are_refused_with_their_number(text: str, line: int) -> None:
    with pytest.raises(OutlineError, match=f"^line {line}: "):
        read(text)
