"""How a pipeline is written: its words, what can be a stage, what the tree says of itself."""

import copy
import functools
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import ceylon
import ceylon.pipelines as package
from ceylon import Agent, BlockingMesh, Context, Mesh, UnknownActionError, action
from ceylon.errors import ArgumentError, DefinitionError, InvalidNameError
from ceylon.pipelines import Pipeline
from ceylon.pipelines.building import (  # untyped: type checkers, too, refuse what is refused here
    branch,
    call,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    reduce,
    retry,
    tap,
    timeout,
)


class Shop(Agent):
    """Sells tea."""

    async def on_message(self, message: Any) -> Any:
        return message

    @action
    def stock(self, sku: str) -> int:
        """Count packets."""
        return len(sku)

    def plain(self, sku: str) -> str:
        return sku


def split(text: str) -> list[str]:
    return text.split()


async def shout(text: Any) -> str:
    return str(text).upper()


def letters(text: str) -> Iterator[str]:
    yield from text


async def numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        yield number


def kinds(built: Pipeline) -> list[str]:
    return [child["kind"] for child in built.describe()["children"]]


# -- stages ------------------------------------------------------------------------------------------------------------


async def test_everything_that_can_be_a_stage_is_one() -> None:
    shop, inner = Shop("shop"), pipeline(split, name="inner")
    async with Mesh() as mesh:
        ref = mesh.add(Shop("other"))
        mesh.add(inner)
        built = pipeline(
            shop, ref, shop.stock, shout, call(ref, "stock"), str, letters, gather(), str, shop.plain, mesh.ref("inner")
        )
        told = [child for child in built.describe()["children"] if child["kind"] == "stage"]

        assert [one["what"] for one in told] == [
            "agent", "ref", "action", "function", "action", "function", "generator", "function", "function", "pipeline"
        ]  # fmt: skip
        assert [one["label"] for one in told][:5] == ["shop", "other", "shop.stock", "shout", "other.stock"]


def test_a_blocking_ref_is_a_stage_too() -> None:
    with BlockingMesh() as mesh:
        assert (mesh.add(Shop("shop")) >> shout).blocking.run("a") == "A"


def test_arrows_join_an_agent_with_whatever_follows() -> None:
    shop, other = Shop("shop"), Shop("other")

    for built in (shop >> shout, shout >> shop, shop >> other, other.stock >> shop, pipeline(shout) >> shop.stock):
        assert kinds(built) == ["stage", "stage"]


def test_two_functions_are_joined_by_the_word_not_by_an_arrow() -> None:
    with pytest.raises(TypeError):
        shout >> split  # type: ignore[operator]


def test_sequences_are_flat_and_equal_however_they_were_joined() -> None:
    one = pipeline(split, each(shout)) >> gather()
    other = pipeline(split) >> (each(shout) >> gather())

    assert one == other
    assert hash(one) == hash(other)
    assert kinds(one) == ["stage", "each", "gather"]
    assert one != pipeline(split)


def test_the_class_is_not_what_makes_a_pipeline() -> None:
    with pytest.raises(DefinitionError, match=r"write `pipeline\(stage, \.\.\.\)`"):
        Pipeline(len)  # type: ignore[arg-type]


def test_a_name_keeps_a_pipeline_together_inside_another() -> None:
    inner = pipeline(split, len).named("count")
    built = pipeline(shout, inner, name="all")

    told = built.describe()["children"][1]
    assert (told["kind"], told["label"], len(told["children"])) == ("sequence", "count", 2)
    assert inner == pipeline(split, len)


def test_the_names_are_loaded_from_either_place() -> None:
    assert ceylon.pipeline is pipeline
    assert ceylon.Pipeline is Pipeline
    assert "each" in dir(package)
    with pytest.raises(AttributeError):
        _ = package.nothing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] – it is not there


def test_a_copy_is_a_pipeline_of_its_own() -> None:
    one = pipeline(split, len, name="count").named("other", concurrency=3)

    for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):  # noqa: S301 – our own
        assert (other, other.name, other.concurrency) == (one, "other", 3)
    other = copy.copy(one)
    del one
    assert other.blocking.run("a b") == 2


def test_a_class_gets_the_value_and_no_context() -> None:
    class Pair:
        def __init__(self, one: Any, two: Any) -> None: ...

    class Single:
        def __init__(self, one: Any, context: Any = None) -> None:
            self.context = context

    assert pipeline(Single).blocking.run(1).context is None
    with pytest.raises(DefinitionError, match="write"):
        pipeline(Pair)


# -- what can be none --------------------------------------------------------------------------------------------------


def nothing() -> None: ...


def three(one: Any, two: Any, more: Any) -> None: ...


def named(value: Any, *, key: str) -> None: ...


def wants_a_flow(items: AsyncIterator[int]) -> None: ...


@pytest.mark.parametrize(
    ("stage", "hint"),
    [
        (5, "a stage is"),
        ("shop", "mesh.ref"),
        (Shop, "write an instance"),
        (None, "a stage is"),
        (nothing, "write (value)"),
        (three, "write (value)"),
        (named, "write (value)"),
        (wants_a_flow, "async def"),
    ],
)
def test_what_can_be_no_stage_is_refused_with_its_place(stage: Any, hint: str) -> None:
    with pytest.raises(DefinitionError, match=r"parallel\(b=…\)") as caught:
        parallel(a=shout, b=stage)

    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        pipeline,
        parallel,
        race,
        lambda: parallel(shout, b=shout),
        lambda: branch(shout, {}),
        lambda: branch({"a": shout}, shout),  # type: ignore[arg-type] # swapped
        lambda: pipeline(Shop("shop")) >> 5,  # type: ignore[operator]
        lambda: call("shop", "stock"),
        lambda: reduce(5, 0),
    ],
)
def test_a_word_without_sense_is_refused(build: Any) -> None:
    with pytest.raises(DefinitionError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: each(shout, concurrency=0),
        lambda: each(shout, on_failure="ignore"),  # type: ignore[arg-type]
        lambda: parallel(shout, on_failure="ignore"),  # type: ignore[arg-type]
        lambda: loop(shout, at_most=0),
        lambda: loop(shout, at_most=1, at_limit="stop"),  # type: ignore[arg-type]
        lambda: retry(shout, times=True),
        lambda: retry(shout, pause=-1),
        lambda: retry(shout, jitter=-0.1),
        lambda: retry(shout, jitter=1.1),
        lambda: retry(shout, jitter=True),
        lambda: retry(shout, jitter="full"),  # type: ignore[arg-type]
        lambda: retry(shout, on="ValueError"),  # type: ignore[arg-type]
        lambda: fallback(shout, on=()),
        lambda: timeout(shout, 0),
        lambda: timeout(shout, float("inf")),
        lambda: pipeline(shout).named("a", concurrency=0),
    ],
)
def test_a_number_out_of_range_is_refused(build: Any) -> None:
    with pytest.raises(ArgumentError):
        build()


def test_names_follow_the_rule_of_agents() -> None:
    with pytest.raises(InvalidNameError):
        pipeline(shout, name="a name")


def test_an_unknown_action_is_found_when_the_agent_is_known() -> None:
    with pytest.raises(UnknownActionError, match="stock"):
        call(Shop("shop"), "stok")


async def test_refs_of_two_meshes_make_no_pipeline() -> None:
    async with Mesh("one") as one, Mesh("two") as two:
        first, second = one.add(Shop("shop")), two.add(Shop("shop"))

        with pytest.raises(DefinitionError, match="different meshes"):
            _ = [first >> second]
        with pytest.raises(DefinitionError, match="cannot run in mesh 'two'"):
            two.add(first >> shout)


# -- the description ---------------------------------------------------------------------------------------------------


def test_the_description_is_plain_json_with_places_and_facts() -> None:
    built = pipeline(
        split,
        parallel(a=shout, b=pipeline(str, retry(shout, times=2, on=(OSError, ValueError)))),
        branch(len, {1: shout, "x": shout}, default=timeout(shout, 2)),
        tap(shout),
        name="news",
    )
    told = json.loads(json.dumps(built.describe()))

    assert (told["name"], told["kind"], told["place"], told["label"]) == ("news", "sequence", "", "news")
    both, choice = told["children"][1], told["children"][2]
    assert (both["keys"], choice["keys"]) == (["a", "b"], [1, "x", "default"])
    assert both["children"][1]["children"][1]["place"] == "1.1.1"
    assert both["children"][1]["children"][1]["facts"]["on"] == ["OSError", "ValueError"]
    assert choice["facts"] == {"by": "len", "default": True}
    assert len(choice["children"]) == len(choice["keys"])
    assert told["children"][0]["source"].startswith("test_building.py:")


def test_a_key_found_by_more_than_a_function_is_a_child() -> None:
    told = branch(Shop("shop"), {"a": shout}).describe()["children"][0]

    assert told["keys"] == ["a", "by"]
    assert [child["label"] for child in told["children"]] == ["shout", "shop"]


def test_odd_functions_have_names() -> None:
    class Callable:
        async def __call__(self, value: Any) -> Any:
            return value

    def second(value: Any, context: Context) -> Any:
        return value

    built = pipeline(functools.partial(shout), Callable(), lambda value: value, second)

    assert [child["label"] for child in built.describe()["children"]] == ["shout", "Callable", "<lambda>", "second"]
