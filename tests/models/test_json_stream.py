"""JSON is read while it is being written, wherever it is cut, and what is no JSON is text."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.models.json_stream import StringReader, ValueReader
from ceylon.models.step_reader import StepReader
from ceylon.models.turns import ToolCall

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab{}[]"\\\n😀\u2028', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='k"\\}', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def cut(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def read(text: str, size: int) -> tuple[str, StepReader]:
    """Return what a `StepReader` gives piece by piece, and the reader at its end."""
    reader = StepReader()
    said = "".join([*map(reader.feed, cut(text, size)), reader.finish()])
    assert said == reader.text
    return said, reader


@given(
    value=_values.filter(lambda value: isinstance(value, dict | list)), size=st.integers(1, 7), is_ascii=st.booleans()
)
def test_the_value_is_taken_out_of_the_words_round_it(*, value: Any, size: int, is_ascii: bool) -> None:
    written = json.dumps(value, ensure_ascii=is_ascii)
    reader = ValueReader()

    taken = [reader.feed(piece)[0] for piece in cut(f"Here: ```json\n{written}\n``` {{and}} so on", size)]

    assert "".join(taken) == written


@given(text=st.text(), size=st.integers(1, 7), is_ascii=st.booleans())
def test_a_string_is_read_as_it_is_written(*, text: str, size: int, is_ascii: bool) -> None:
    reader = StringReader()

    said = [reader.feed(piece)[0] for piece in cut(json.dumps(text, ensure_ascii=is_ascii)[1:], size)]

    assert "".join(said) == text
    assert reader.is_over


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r'\ud83dabc"', "\ufffdabc"),
        (r'\ud83d\n"', "\ufffd\n"),
        (r'\ude00"', "\ufffd"),
        (r'\qx"', r"\qx"),
        (r'\uZZZZ and a good deal more"', r"\uZZZZ and a good deal more"),
        ('line\nbreak"', "line\nbreak"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_string_that_is_not_quite_one_does_not_stop_the_reader(written: str, text: str, size: int) -> None:
    reader = StringReader()

    assert "".join(reader.feed(piece)[0] for piece in cut(written, size)) == text
    assert reader.is_over


def test_text_comes_as_soon_as_it_is_written() -> None:
    reader = StepReader()

    assert [reader.feed(piece) for piece in ('{"ans', 'wer": "He', "ll", 'o"', "}")] == ["", "He", "ll", "o", ""]


@given(_values, st.integers(1, 9))
def test_an_answer_is_what_stands_under_its_name(value: Any, size: int) -> None:
    said, reader = read(json.dumps({"answer": value}), size)

    assert reader.call is None
    assert said == value if isinstance(value, str) else json.loads(said) == value


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("written", "call"),
    [
        ('{"tool":"stock","arguments":{"sku":"A7"}}', ToolCall("", "stock", {"sku": "A7"})),
        ('\n{ "arguments": {"sku": "A7"}, "tool": "stock" }', ToolCall("", "stock", {"sku": "A7"})),
        ('{"tool":"now"}', ToolCall("", "now")),
        ('{"tool":"now","arguments":null}', ToolCall("", "now")),
        ('{"tool":"now","arguments":[1]}', ToolCall("", "now", {}, "[1]")),
        ('{"tool":"now","arguments":"{\\"a\\": 1}"}', ToolCall("", "now", {"a": 1})),
    ],
)
def test_a_call_is_read_whole_and_nothing_of_it_is_text(written: str, call: ToolCall, size: int) -> None:
    said, reader = read(written, size)

    assert (said, reader.call) == ("", call)


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("text", ["plain words", "{oops", '{"other": 1}', "[1]", '{"tool": 3}', " " * 300 + "late"])
def test_what_is_no_step_is_the_answer_itself(text: str, size: int) -> None:
    said, reader = read(text, size)

    assert (said, reader.call) == (text, None)


@pytest.mark.parametrize("end", range(len('{"tool":"stock","arguments":{"sku":"A7"}')))
def test_a_call_that_is_cut_off_is_neither_call_nor_text(end: int) -> None:
    said, reader = read('{"tool":"stock","arguments":{"sku":"A7"}'[:end], 3)

    assert (said, reader.call) == ("", None)


def test_an_answer_that_is_cut_off_is_what_was_said() -> None:
    assert read('{"answer": "so far so', 2)[0] == "so far so"


def test_long_texts_take_linear_time() -> None:
    assert len(read(json.dumps({"answer": "x" * 200_000}), 20)[0]) == 200_000
    assert read(json.dumps({"tool": "t", "arguments": {"x": "y" * 200_000}}), 20)[1].call is not None
