"""A pipeline is a value: it keeps nothing alive but its stages, and says what it is."""

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ceylon import Agent, BlockingMesh, DefinitionError, Mesh, Ref, action
from ceylon.pipelines import (
    Pipeline,
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
from ceylon.testing.fixtures import checked_mesh, settings_for_tests


class Shop(Agent):
    """Doubles."""

    async def on_message(self, message: int) -> int:
        return 2 * message

    @action
    async def stock(self, number: int) -> int:
        """Double it."""
        return 2 * number

    async def method(self, number: int) -> int:
        """Be no action."""
        return 2 * number


async def double(number: int) -> int:
    """Return it twice."""
    return 2 * number


def same(value: Any) -> Any:
    """Return it."""
    return value


def is_even(number: int) -> bool:
    """Say whether it is even."""
    return number % 2 == 0


# -- what it keeps -----------------------------------------------------------------------------------------------------


class Big:
    """Something that must not stay."""


def from_a_closure() -> "weakref.ref[Any]":
    big = Big()

    async def stage(value: Any) -> Any:
        return big

    pipeline(stage, stage)
    return weakref.ref(big)


def from_a_method() -> "weakref.ref[Any]":
    shop = Shop("shop")
    pipeline(shop.method)
    return weakref.ref(shop)


def from_an_action() -> "weakref.ref[Any]":
    shop = Shop("shop")
    pipeline(shop.stock, double)
    return weakref.ref(shop)


def from_an_agent() -> "weakref.ref[Any]":
    shop = Shop("shop")
    parallel(shop, double)
    return weakref.ref(shop)


@pytest.mark.parametrize("build", [from_a_closure, from_a_method, from_an_action, from_an_agent])
def test_a_pipeline_that_is_gone_keeps_nothing(build: Callable[[], "weakref.ref[Any]"]) -> None:
    kept = build()
    gc.collect()

    assert kept() is None


async def test_a_mesh_that_is_gone_keeps_no_pipeline() -> None:
    shop = Shop("shop")
    built = pipeline(shop, double)
    async with checked_mesh() as mesh:
        assert await mesh.add(built).ask(1) == 4
        assert await built.run(1) == 4
    kept = weakref.ref(shop)
    del shop, built, mesh
    gc.collect()

    assert kept() is None


def test_the_locals_around_a_pipeline_are_not_kept() -> None:
    def build() -> tuple[Pipeline, "weakref.ref[Any]"]:
        big = Big()

        async def stage(value: "Big") -> int:
            return 1

        return pipeline(stage), weakref.ref(big)

    built, kept = build()
    gc.collect()

    assert built.describe()
    assert kept() is None


# -- how it is made ----------------------------------------------------------------------------------------------------


async def test_arrows_join_whatever_can_be_a_stage() -> None:
    async with checked_mesh() as mesh:
        ref = mesh.add(Shop("ref"))
        shop, other = Shop("shop"), Shop("other")
        ways: list[Any] = [
            ref >> double,
            double >> ref,
            ref >> ref,
            shop >> double,
            double >> shop,
            shop >> other,
            shop >> ref,
            ref >> shop,
            shop.stock >> pipeline(double),
            pipeline(double) >> shop.stock,
            pipeline(double) >> pipeline(double),
            call(ref, "stock") >> double,
            double >> call(ref, "stock"),
        ]
        for number, way in enumerate(ways):
            assert isinstance(way, Pipeline)
            assert await mesh.add(way.named(f"way-{number}")).ask(1) == 4


async def test_an_actions_arrow_works_where_the_other_side_has_one() -> None:
    shop, other = Shop("shop"), Shop("other")
    async with checked_mesh() as mesh:
        for number, way in enumerate([shop.stock >> other, other >> shop.stock, pipeline(shop.stock) >> other.stock]):
            assert await mesh.add(way.named(f"way-{number}")).ask(1) == 4


async def test_refs_of_two_meshes_make_no_pipeline() -> None:
    async with Mesh("one", settings=settings_for_tests()) as one, Mesh("two", settings=settings_for_tests()) as two:
        first, second = one.add(Shop("shop")), two.add(Shop("shop"))

        with pytest.raises(DefinitionError):
            _ = first >> second
        with pytest.raises(DefinitionError):
            parallel(first, pipeline(double, second))
        with pytest.raises(DefinitionError):
            _ = each(first) >> gather() >> same >> second
        with pytest.raises(DefinitionError):
            two.add(pipeline(first))


def test_everything_has_a_description() -> None:
    built = pipeline(
        same, tap(same), parallel(same, same), parallel(a=same, b=same), each(same), gather(),
        reduce(lambda one, other: one, 0), branch(same, {True: same, False: same}, default=same),
        race(same, same), loop(same, until=same, at_most=3), retry(same), fallback(same, same),
        timeout(same, 3), pipeline(same, name="inner"), Shop("shop"), Shop("other").stock, name="all",
    )  # fmt: skip
    told = built.describe()

    assert (told["name"], told["kind"], told["place"]) == ("all", "sequence", "")
    kinds = [child["kind"] for child in told["children"]]
    assert kinds == [
        "stage", "tap", "parallel", "parallel", "each", "gather", "reduce", "branch", "race", "loop", "retry",
        "fallback", "timeout", "sequence", "stage", "stage",
    ]  # fmt: skip
    by_kind = {child["kind"]: child for child in told["children"]}
    assert told["children"][0]["what"] == "function"
    assert told["children"][0]["source"].startswith("test_pipeline_values.py:")
    assert told["children"][0]["label"] == "same"
    assert told["children"][3]["keys"] == ["a", "b"]
    assert by_kind["each"]["facts"] == {"concurrency": 8, "ordered": True, "on_failure": "cancel"}
    assert by_kind["retry"]["facts"]["times"] == 3
    assert by_kind["timeout"]["facts"]["seconds"] == 3
    assert by_kind["sequence"]["label"] == "inner"
    assert [child["what"] for child in told["children"][-2:]] == ["agent", "action"]
    assert [child["label"] for child in told["children"][-2:]] == ["shop", "other.stock"]


def test_a_pipeline_is_a_value() -> None:
    one, other = pipeline(double, double), pipeline(double) >> double

    assert one == other
    assert hash(one) == hash(other)
    assert one != pipeline(double)
    assert one != "a pipeline"
    assert len({one, other}) == 1
    assert copy.copy(one) == one
    assert "double" in repr(one)
    assert one.named("a") == one
    assert one.named("a").name == "a"
    assert one.name == "pipeline"


# -- where it lives ----------------------------------------------------------------------------------------------------


async def test_one_pipeline_may_be_added_under_two_names() -> None:
    built = pipeline(Shop("shop"), double)
    async with checked_mesh() as mesh:
        first, second = mesh.add(built.named("first")), mesh.add(built.named("second"))

        assert [await ref.ask(1) for ref in (first, second)] == [4, 4]
        await mesh.stop("first")
        assert await second.ask(1) == 4


async def test_a_pipeline_can_be_added_to_another_mesh_afterwards() -> None:
    built = pipeline(Shop("shop"), double)
    for _ in range(3):
        async with checked_mesh() as mesh:
            assert await mesh.add(built).ask(1) == 4


def test_blocking_verbs_work_where_there_is_no_loop() -> None:
    with BlockingMesh(settings=settings_for_tests()) as mesh:
        shop = mesh.add(Shop("shop"))
        built = pipeline(shop, double)

        assert mesh.add(built).ask(1) == 4
        assert built.blocking.run(1) == 4
        assert [event.what for event in built.blocking.stream(1)][-1] == "ended"


async def test_runs_of_one_pipeline_do_not_meet() -> None:
    import anyio  # noqa: PLC0415 – this test only

    async with checked_mesh() as mesh:
        ref: Ref = mesh.add(pipeline(parallel(double, each(double) >> gather(), on_failure="keep")))
        results: dict[int, Any] = {}

        async def ask(number: int) -> None:
            results[number] = (await ref.ask([number, number]))[1]

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(ask, number)

        assert results == {number: [2 * number] * 2 for number in range(100)}
