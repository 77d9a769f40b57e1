"""The parser of the extra `speed`: the same answer wherever the network cuts it, and an end to what has none."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("httptools")

from ceylon.models.answer_parser import AnswerParser

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-type: text/plain\r\ncontent-length: 11\r\n\r\nhello world"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nlate: x\r\n\r\n"
ANNOUNCED = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE


def fed(parser: AnswerParser, *pieces: bytes) -> bytes:
    """Feed *pieces* of one answer; return the body they brought."""
    body = b""
    for piece in pieces:
        parser.feed(piece)
        body += parser.take()
    return body


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """Return *raw* in pieces."""
    edges = [0, *sorted(place % len(raw) for place in places), len(raw)]
    return [raw[begin:end] for begin, end in itertools.pairwise(edges) if begin < end]


@given(st.sampled_from([WHOLE, CHUNKED, ANNOUNCED]), st.lists(st.integers(0, 400), max_size=30))
def test_an_answer_is_the_same_wherever_it_is_cut(raw: bytes, places: list[int]) -> None:
    parser = AnswerParser()
    for _ in range(2):  # also as the second on its connection
        parser.begin()

        assert fed(parser, *cut(raw, places)) == b"hello world"

        assert (parser.status, parser.is_complete, parser.can_go_on, parser.fault) == (200, True, True, "")
        assert b"late" not in dict(parser.headers)
        assert b"link" not in dict(parser.headers)


@given(st.sampled_from([WHOLE, CHUNKED, ANNOUNCED]), st.integers(0, 400))
def test_an_answer_that_breaks_off_is_never_whole(raw: bytes, place: int) -> None:
    parser = AnswerParser()
    body = fed(parser, raw[: place % len(raw)])

    parser.feed_end()

    assert b"hello world".startswith(body)
    assert parser.fault
    assert not parser.is_complete
    assert not parser.can_go_on


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_nonsense_is_a_fault_and_never_an_exception(head: bytes, body: bytes) -> None:
    for raw in (head, OK + head, OK + b"transfer-encoding: chunked\r\n\r\n" + head):
        parser = AnswerParser()
        fed(parser, raw, body)
        parser.feed_end()

        assert parser.is_complete != bool(parser.fault)


def test_the_end_makes_an_answer_without_a_measure_whole_and_the_connection_useless() -> None:
    parser = AnswerParser()

    assert fed(parser, OK + b"\r\nhello ", b"world") == b"hello world"
    was_complete = parser.is_complete
    parser.feed_end()

    assert (was_complete, parser.is_complete, parser.can_go_on) == (False, True, False)


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (OK, b"x: y\r\n"),
        (OK + b"x: ", b"y" * 100),
        (b"", b"\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n"),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
        (OK + b"transfer-encoding: chunked\r\n\r\n1;", b"y" * 100),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"0" * 100),
    ],
)
def test_what_is_no_body_has_an_end(begin: bytes, endless: bytes) -> None:
    parser = AnswerParser()
    parser.feed(begin)

    for _ in range(200_000 // len(endless)):
        parser.feed(endless)

    assert parser.fault


def test_a_version_that_was_not_asked_for_is_a_fault() -> None:
    parser = AnswerParser()

    parser.feed(b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    assert not parser.has_head
    assert "version" in parser.fault
