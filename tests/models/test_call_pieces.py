"""Calls come out of a stream as the model meant them, or are told to be none; none is made up, none comes twice."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceylon.models.call_pieces import CallPieces, read_arguments
from ceylon.models.turns import ToolCall, Turn

Piece = tuple[int | None, str, str, Any]


def calls_of(*pieces: Piece, turns: tuple[Turn, ...] = ()) -> tuple[ToolCall, ...]:
    collected = CallPieces(turns)
    for piece in pieces:
        collected.add(*piece)
    return collected.calls()


WEATHER = ToolCall("a", "weather", {"city": "Kandy", "days": 3})
STOCK = ToolCall("b", "stock", {"sku": "A7"})
IN_WEATHER, IN_STOCK = '{"city": "Kandy", "days": 3}', '{"sku": "A7"}'


def cut(text: str, size: int = 4) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def test_a_call_by_the_book() -> None:
    pieces = [(0, "", "", piece) for piece in cut(IN_WEATHER)]

    assert calls_of((0, "a", "weather", ""), *pieces) == (WEATHER,)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([(0, "a", "weather", piece) for piece in cut(IN_WEATHER)], id="id and name with every piece"),
        pytest.param([(0, "a", "", piece) for piece in cut(IN_WEATHER)], id="the id with every piece"),
        pytest.param([(0, "", "", piece) for piece in cut(IN_WEATHER)], id="neither"),
        pytest.param([(0, f"new-{n}", "", piece) for n, piece in enumerate(cut(IN_WEATHER))], id="new ids"),
        pytest.param([(None, "", "", piece) for piece in cut(IN_WEATHER)], id="no index"),
        pytest.param([(None, f"n-{n}", "", piece) for n, piece in enumerate(cut(IN_WEATHER))], id="no index, new ids"),
        pytest.param([(None, "a", "weather", piece) for piece in cut(IN_WEATHER)], id="no index, all else repeated"),
        pytest.param([(0, "", "weather", piece) for piece in cut(IN_WEATHER)], id="the name with every piece"),
        pytest.param([(0, "a", "weather", IN_WEATHER), (0, "a", "weather", "")], id="an empty one at the end"),
    ],
)
def test_pieces_of_one_call_are_one_call(pieces: list[Piece]) -> None:
    assert calls_of((pieces[0][0], "a", "weather", ""), *pieces) == (WEATHER,)


@pytest.mark.parametrize("first", [0, None])
def test_a_call_that_comes_whole_under_the_index_of_another_is_a_second_one(first: int | None) -> None:
    assert calls_of((first, "a", "weather", IN_WEATHER), (first, "b", "stock", IN_STOCK)) == (WEATHER, STOCK)


@pytest.mark.parametrize("index", [0, None])
def test_two_calls_without_ids_under_one_index_are_two(index: int | None) -> None:
    same = calls_of((index, "", "stock", '{"sku": "A7"}'), (index, "", "stock", '{"sku": "B8"}'))
    other = calls_of((index, "", "weather", IN_WEATHER), (index, "", "stock", IN_STOCK))

    assert [(call.id, call.arguments) for call in same] == [("call_0", {"sku": "A7"}), ("call_1", {"sku": "B8"})]
    assert [(call.id, call.name) for call in other] == [("call_0", "weather"), ("call_1", "stock")]


def test_calls_stand_in_the_order_of_their_indexes_whatever_comes_first_and_whatever_is_left_out() -> None:
    names = ["one", "two", "three"]
    for order in itertools.permutations([(0, "one"), (7, "two"), (1_000_000_000, "three")]):
        heads: list[Piece] = [(index, name, name, "") for index, name in order]
        tails: list[Piece] = [(index, "", "", "{}") for index, _ in reversed(order)]

        assert [call.name for call in calls_of(*heads, *tails)] == names


def test_pieces_of_several_calls_may_alternate() -> None:
    pairs = itertools.zip_longest(cut(IN_WEATHER), cut(IN_STOCK), fillvalue="")
    pieces: list[Piece] = [(index, "", "", piece) for pair in pairs for index, piece in enumerate(pair)]

    assert calls_of((1, "b", "stock", ""), (0, "a", "weather", ""), *pieces) == (WEATHER, STOCK)


def test_a_call_sent_twice_is_called_once() -> None:
    assert calls_of((0, "a", "weather", IN_WEATHER), (1, "a", "weather", IN_WEATHER)) == (WEATHER,)


def test_two_calls_of_one_id_get_one_each() -> None:
    first, second = calls_of((0, "a", "weather", IN_WEATHER), (1, "a", "stock", IN_STOCK))

    assert first == WEATHER
    assert second == msgspec.structs.replace(STOCK, id="call_1")


def test_a_missing_id_is_one_the_conversation_has_not_seen() -> None:
    earlier = (Turn("assistant", calls=(ToolCall("call_0", "x"), ToolCall("call_3", "y"))),)

    made = calls_of((0, "", "stock", IN_STOCK), (1, "", "stock", "{}"), (2, "call_0", "stock", "{}"), turns=earlier)

    assert [call.id for call in made] == ["call_2", "call_4", "call_5"]


def test_a_name_of_ten_kilobytes_is_what_the_model_said() -> None:
    name = "x" * 10_240

    assert calls_of((0, "a", name, "{}")) == (ToolCall("a", name),)


def test_a_call_without_a_name_has_none() -> None:
    assert calls_of((0, "a", "", "{}")) == (ToolCall("a", ""),)


@pytest.mark.parametrize("nothing", ["", "  ", None, "{}"])
def test_no_arguments_are_an_empty_object(nothing: Any) -> None:
    assert calls_of((0, "a", "now", nothing)) == (ToolCall("a", "now"),)


def test_arguments_may_come_as_an_object() -> None:
    assert calls_of((0, "a", "weather", {"city": "Kandy", "days": 3})) == (WEATHER,)


@pytest.mark.parametrize(
    "text",
    ["{", '{"a": 1}}', "[1]", "3", "null", '"text"', "{'a': 1}", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100_000],
)
def test_arguments_that_are_no_object_are_kept_as_they_are_and_nothing_is_called_with_them(text: str) -> None:
    assert calls_of((0, "a", "weather", text)) == (ToolCall("a", "weather", {}, text),)
    assert read_arguments(text) == ({}, text)


def test_arguments_of_another_kind_are_told_too() -> None:
    assert calls_of((0, "a", "weather", [1])) == (ToolCall("a", "weather", {}, "[1]"),)


_values = st.dictionaries(
    st.text(max_size=5), st.one_of(st.integers(-9, 9), st.text(max_size=8), st.booleans()), max_size=4
)


@given(
    wanted=st.lists(st.tuples(st.sampled_from(["stock", "weather"]), _values), min_size=1, max_size=4),
    size=st.integers(1, 9),
    has_index=st.booleans(),
    repeats=st.booleans(),
    gap=st.integers(1, 5),
)
def test_whatever_the_style_of_the_server_the_calls_are_those_it_sent(
    *, wanted: list[tuple[str, dict[str, Any]]], size: int, has_index: bool, repeats: bool, gap: int
) -> None:
    pieces: list[Piece] = []
    for number, (name, arguments) in enumerate(wanted):
        index, identity = (number * gap if has_index else None), f"id-{number}"
        pieces.append((index, identity, name, ""))
        again, named = (identity, name) if repeats else ("", "")
        pieces += [(index, again, named, piece) for piece in cut(json.dumps(arguments), size)]

    assert [(call.id, call.name, call.arguments) for call in calls_of(*pieces)] == [
        (f"id-{number}", name, arguments) for number, (name, arguments) in enumerate(wanted)
    ]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-2, 3)),
            st.sampled_from(["", "a", "b"]),
            st.sampled_from(["", "stock", "weather"]),
            st.one_of(st.none(), st.sampled_from(["", "{", "}", "{}", '{"a":1}', '"a"', ":"]), st.just({})),
        ),
        max_size=12,
    )
)
def test_whatever_comes_every_call_has_an_id_of_its_own_and_arguments_or_the_text_that_is_none(
    pieces: list[Piece],
) -> None:
    calls = calls_of(*pieces)

    assert len({call.id for call in calls}) == len(calls)
    assert all(call.id for call in calls)
    assert all(not call.invalid or not call.arguments for call in calls)


def test_ten_thousand_calls_are_read_in_no_time_to_speak_of() -> None:
    assert len(calls_of(*[(None, "same", "stock", f'{{"n":{n}}}') for n in range(3)], turns=())) == 1
    assert len(calls_of(*[(n, "same", "stock", f'{{"n":{n}}}') for n in range(10_000)])) == 10_000
    assert len(calls_of(*[(None, f"id-{n}", "stock", "{}") for n in range(10_000)])) == 10_000
