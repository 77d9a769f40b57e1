"""A pipeline grows stage by stage at a price that does not grow with it: what was checked is not checked again."""

import contextlib
import functools
import gc
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from ceylon import Agent, Mesh, Message, on
from ceylon.errors import DefinitionError, StageTypeError
from ceylon.pipelines import Pipeline, each, parallel, pipeline
from ceylon.pipelines.checking import Checked

SHORT, LONG = 20, 120


async def add(number: int) -> int:
    return number + 1


async def same(value: Any) -> Any:
    return value


async def shout(text: str) -> str:
    return text.upper()


class Order(Message, tag="test_growing.Order"):
    sku: str


class Shop(Agent):
    """Sells tea."""

    @on
    async def order(self, order: Order) -> int:
        return len(order.sku)


def grown(stages: int, stage: Any = add) -> Pipeline:
    return functools.reduce(lambda made, _: made >> stage, range(stages - 1), pipeline(stage))


def price(pipeline: Pipeline, more: Callable[[Pipeline], Any]) -> int:
    """Return how many calls it takes to make *more* of *pipeline*."""
    more(pipeline)  # what is loaded at the first time is paid for
    calls: Counter[str] = Counter()
    gc.collect()
    gc.disable()  # a finalizer is nobody's stage
    sys.setprofile(lambda _, event, __: calls.update([event]))  # of this thread alone
    try:
        more(pipeline)
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls["call"] + calls["c_call"]


def check_price(more: Callable[[Pipeline], Any], stage: Any = add) -> None:
    short, long = (price(grown(length, stage), more) for length in (SHORT, LONG))
    assert long < 1.1 * short, f"{short:,} calls behind {SHORT} stages, {long:,} behind {LONG}"


MORE: dict[str, Callable[[Pipeline], Any]] = {
    "a stage": lambda made: made >> add,
    "an agent": lambda made: made >> Shop("shop"),
    "a name": lambda made: made.named("news"),
}


@pytest.mark.parametrize("what", MORE)
def test_one_more_costs_the_same_however_long_it_is(what: str) -> None:
    check_price(MORE[what], stage=same if what == "an agent" else add)


async def test_so_it_does_behind_refs(mesh: Mesh) -> None:
    ref = mesh.add(Shop("shop"))

    check_price(lambda made: made >> ref, stage=mesh.ref("nobody"))


def test_if_all_is_checked_again_it_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "__ceylon_checked__", Checked())

    with pytest.raises(AssertionError, match="behind 120"):
        check_price(MORE["a stage"])


# -- and finds what it found ---------------------------------------------------------------------------------------


def test_a_joint_that_does_not_fit_is_found_at_any_length() -> None:
    long = grown(50)
    named = long.named("news")

    grown_ones: list[Any] = [long, named, pipeline(long, add), pipeline(add) >> long, pipeline(add) >> named]
    for made in grown_ones:
        with pytest.raises(StageTypeError, match=r"gives int, but 'shout' .* takes str"):
            _ = made >> shout
    with pytest.raises(StageTypeError, match=r"'shout' .* gives str, but 'add' .* takes int"):
        _ = pipeline(shout) >> long
    with pytest.raises(StageTypeError, match=r"'shout' .* gives str, but 'add' .* takes int"):
        _ = pipeline(shout) >> named


async def test_what_is_known_by_now_of_the_last_stage_counts(mesh: Mesh) -> None:
    made = add >> mesh.ref("later")
    asked = pipeline(Order) >> mesh.ref("shop")
    _ = made >> shout  # it may well take one and give the other

    mesh.add(Shop("later"))
    mesh.add(Shop("shop"))

    with pytest.raises(StageTypeError, match="takes Order"):
        _ = made >> shout
    with pytest.raises(StageTypeError, match="gives int, but 'shout'"):
        _ = asked >> shout
    assert await mesh.add(asked >> add).ask("tea") == 4


async def seen_behind(mesh: Mesh) -> list[str]:
    """Return what is made without an error of pipelines in whose middle somebody turns out to take no number."""
    made: dict[str, Pipeline] = {
        "first": mesh.ref("later") >> same >> same,
        "middle": add >> mesh.ref("later") >> same >> same,
        "inside": pipeline(pipeline(add, mesh.ref("later"), same, name="inner"), same),
        "beside": add >> parallel(same, mesh.ref("later")) >> same >> same,
        "by key": add >> mesh.ref("family", key="lisbon") >> same >> same,
    }
    mesh.add(Shop("later"))
    mesh.pool(Shop, "family", size=1)
    ways: dict[str, Callable[[Pipeline], Any]] = {
        ">>": lambda one: one >> same,
        "named": lambda one: one.named("news"),
        "pipeline": lambda one: pipeline(one, same),
    }
    seen: list[str] = []
    for name, one in made.items():
        for word, way in ways.items():
            with contextlib.suppress(StageTypeError):
                way(one)
                seen.append(f"{name} {word}")
    return seen


FITS: Final = ["first >>", "first named", "first pipeline"]  # nobody says what comes to it


async def test_what_is_known_by_now_of_others_counts_too(mesh: Mesh) -> None:
    assert await seen_behind(mesh) == FITS


async def test_if_what_was_checked_holds_for_good_they_pass(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checked, "holds", True)

    assert await seen_behind(mesh) != FITS


async def test_refs_of_two_meshes_are_found_at_any_length(mesh: Mesh) -> None:
    async with Mesh("other") as other:
        near, far = mesh.add(Shop("shop")), other.add(Shop("shop"))

        for made in (near >> same >> add, (near >> same).named("news"), each(near) >> same, grown(3, same) >> near):
            with pytest.raises(DefinitionError, match="in different meshes"):
                _ = made >> far
            with pytest.raises(DefinitionError, match="in different meshes"):
                _ = made >> same >> each(far)
