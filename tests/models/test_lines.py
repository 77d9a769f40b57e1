"""Lines and events are the same however the bytes were cut."""

import itertools
import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ceylon.errors import ModelProtocolError
from ceylon.models.lines import BodyParser, Event, EventParser, LineParser

ODD = "\u2028 \u2029 \u0085 \x0b \x0c \x1c é 😀"
TRANSCRIPT = (
    ": hello\r\n\r\n"
    'data: {"a":1}\n\n'
    "event: delta\rdata: x\rdata:  y\r\r"
    f'id: 7\nretry: 9e99\ndata: {{"text":"{ODD}"}}\r\n\r\n'
    "data\n\n"
    "nonsense: 1\nevent: lost\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    Event("", b'{"a":1}'),
    Event("delta", b"x\n y"),
    Event("", f'{{"text":"{ODD}"}}'.encode()),
    Event("", b""),
    Event("", b"[DONE]"),
]
LINES = f'{{"a":1}}\n\n \r\n{{"text":"{ODD}"}}\r\n{{"done":true}}\n'.encode()
OBJECTS = [b'{"a":1}', f'{{"text":"{ODD}"}}'.encode(), b'{"done":true}']


def events_of(chunks: Iterable[bytes], **limits: int) -> list[Event]:
    parser = EventParser(**limits)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + list(parser.finish())


def lines_of(chunks: Iterable[bytes], **limits: int) -> list[bytes]:
    parser = LineParser(**limits)
    lines = [line for chunk in chunks for line in parser.feed(chunk)]
    return lines + list(parser.finish())


def cut(data: bytes, places: Iterable[int]) -> Sequence[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def test_events_follow_the_standard() -> None:
    assert events_of([TRANSCRIPT]) == EVENTS


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_events_are_the_same_at_every_cut(bom: bytes) -> None:
    data = bom + TRANSCRIPT

    for place in range(len(data) + 1):
        assert events_of(cut(data, [place])) == EVENTS


def test_events_are_the_same_byte_by_byte() -> None:
    assert events_of(bytes([byte]) for byte in TRANSCRIPT) == EVENTS


@given(some.lists(some.integers(0, 10_000), max_size=20))
def test_events_are_the_same_at_any_cuts(places: list[int]) -> None:
    assert events_of(cut(TRANSCRIPT, places)) == EVENTS


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_events_are_the_same_with_any_line_ending_at_every_cut(ending: bytes) -> None:
    data = b"data: 1\n\ndata: 2\ndata: 3\n\n".replace(b"\n", ending)

    for place in range(len(data) + 1):
        assert events_of(cut(data, [place])) == [Event("", b"1"), Event("", b"2\n3")]


def test_lines_are_the_same_at_every_cut() -> None:
    for place in range(len(LINES) + 1):
        assert lines_of(cut(LINES, [place])) == OBJECTS


@given(some.lists(some.integers(0, 10_000), max_size=20))
def test_lines_are_the_same_at_any_cuts(places: list[int]) -> None:
    assert lines_of(cut(LINES, places)) == OBJECTS


def test_a_last_line_needs_no_end_if_it_is_whole() -> None:
    assert lines_of([b'{"a":1}\n{"b":2}']) == [b'{"a":1}', b'{"b":2}']
    assert events_of([b'data: {"a":1}']) == [Event("", b'{"a":1}')]
    assert events_of([b"data: [DONE]\n"]) == [Event("", b"[DONE]")]


@pytest.mark.parametrize("piece", [b'{"b":', b'{"b":"\\u00', b'{"b":"tex', b"[DON"])
def test_the_piece_a_stream_broke_off_in_is_no_item(piece: bytes) -> None:
    assert lines_of([b'{"a":1}\n' + piece]) == [b'{"a":1}']
    assert events_of([b"data: 1\n\ndata: " + piece]) == [Event("", b"1")]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3(", b"\xed\xa0\x80", '"é"'.encode("utf-16")])
def test_what_is_not_utf8_is_refused_and_never_replaced(bad: bytes) -> None:
    with pytest.raises(ModelProtocolError, match="UTF-8"):
        events_of([b"data: " + bad + b"\n\n"])
    with pytest.raises(ModelProtocolError, match="UTF-8"):
        lines_of([b'{"a":"' + bad + b'"}\n'])


def test_a_line_or_event_over_the_limit_is_refused_before_it_is_whole() -> None:
    with pytest.raises(ModelProtocolError, match="longer than 100"):
        events_of([b"data: " + b"x" * 200], max_event=100)
    with pytest.raises(ModelProtocolError, match="longer than 100"):
        events_of([b"data: " + b"x" * 40 + b"\n"] * 3, max_event=100)
    with pytest.raises(ModelProtocolError, match="longer than 100"):
        lines_of([b"x"] * 101, max_line=100)


def test_too_many_items_are_refused() -> None:
    with pytest.raises(ModelProtocolError, match="too many"):
        events_of([b"data: 1\n\n"] * 11, max_events=10)
    with pytest.raises(ModelProtocolError, match="too many"):
        lines_of([b"1\n"] * 11, max_lines=10)


@given(some.lists(some.binary(max_size=50), max_size=20))
def test_random_bytes_raise_nothing_but_a_protocol_error(chunks: list[bytes]) -> None:
    for read in (events_of, lines_of):
        try:
            read(chunks)
        except ModelProtocolError:
            continue


@given(
    some.lists(some.sampled_from([b"data: 1", b"data", b":", b"event: x", b"\r", b"\n", b"\r\n", b"", "é".encode()]))
)
def test_random_events_do_not_depend_on_where_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)

    assert events_of(pieces) == events_of([data]) == events_of(bytes([byte]) for byte in data)


@pytest.mark.parametrize("size", [1, 1_000, 65_536])
def test_ten_megabytes_take_linear_time(size: int) -> None:
    line = b"data: " + b"x" * 994 + b"\n"
    data = line * 1_000 + b"\n"
    megabytes = 10 if size > 1 else 1
    chunks = [data[start : start + size] for start in range(0, len(data), size)] * megabytes

    began = time.thread_time()
    events = events_of(chunks)

    assert len(events) == megabytes
    assert time.thread_time() - began < 3


def test_a_million_data_lines_are_one_event_or_a_clear_error() -> None:
    assert events_of([b"data:\n" * 1_000_000 + b"\n"]) == [Event("", b"\n" * 999_999)]
    with pytest.raises(ModelProtocolError):
        events_of([b"data:\n" * 1_100_000 + b"\n"])


def test_a_body_that_is_no_stream_is_one_event() -> None:
    parser = BodyParser()

    assert [*parser.feed(b'{"a"'), *parser.feed(b":1}"), *parser.finish()] == [Event("", b'{"a":1}')]
