"""A pipeline at random gives what it means in plain Python, in whatever way it is run."""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ceylon import BlockingMesh
from ceylon.pipelines import pipeline
from ceylon.testing.fixtures import checked_mesh, settings_for_tests
from support.pipe_building import Kit
from support.pipe_meaning import AmbiguousError, plain_meaning
from support.pipe_random import Maker
from support.pipe_running import mistake, outcome_of, result_of
from support.pipe_shapes import InSequence, Leaf, Shape, number

PROPERTY: Final = settings(
    derandomize=True, deadline=None, database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)  # fmt: skip

KINDS: Final = frozenset(
    [
        "stage",
        "sequence",
        "parallel",
        "branch",
        "race",
        "loop",
        "each",
        "gather",
        "reduce",
        "retry",
        "fallback",
        "timeout",
        "tap",
    ]
)
values: Final = st.recursive(
    st.integers(-50, 50) | st.text("abc", max_size=8), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)


@st.composite
def shapes(draw: st.DrawFn, depth: int = 3) -> Shape:
    """Draw a pipeline."""
    return Maker(lambda count: draw(st.integers(0, count - 1))).shape(depth)


def meaning_of(shape: Shape, value: Any) -> Any:
    """Return what it means, if that does not depend on time."""
    try:
        return plain_meaning(shape, value)
    except AmbiguousError:
        assume(False)  # noqa: FBT003 – Hypothesis's word
        raise


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


async def check_run(shape: Shape, value: Any) -> None:
    """Compare one run with its meaning."""
    expected = meaning_of(shape, value)
    async with checked_mesh() as mesh:
        built = Kit(mesh).build(shape)
        mesh.add(built)
        outcome = await outcome_of(built.run(value))

    assert mistake(shape, expected, outcome) is None


@settings(PROPERTY, max_examples=30)
@given(shape=shapes(), value=values)
async def test_a_pipeline_at_random_means_what_it_means_in_plain_python(
    anyio_backend: str, shape: Shape, value: Any
) -> None:
    await check_run(shape, value)


@pytest.mark.slow
@settings(PROPERTY, max_examples=120)
@given(shape=shapes(4), value=values)
async def test_so_do_many_deeper_ones(anyio_backend: str, shape: Shape, value: Any) -> None:
    await check_run(shape, value)


async def check_every_way(shape: Shape, value: Any) -> None:
    """Run, ask, nest and stream one pipeline, all in one mesh."""
    expected = meaning_of(shape, value)
    async with checked_mesh() as mesh:
        built = Kit(mesh).build(shape).named("outer")
        ref = mesh.add(built)
        outcomes = {
            "ask": await outcome_of(ref.ask(value)),
            "run": await outcome_of(built.run(value)),
            "stream": await outcome_of(built.stream(value).result()),
            "a ref in a pipeline": await outcome_of(pipeline(ref).run(value)),
            "nested": await outcome_of(mesh.add(pipeline(built, name="nesting")).ask(value)),
            "in the mesh's other half": await outcome_of(mesh.ask("outer", value)),
        }

    mistakes = {way: mistake(shape, expected, outcome) for way, outcome in outcomes.items()}
    assert mistakes == dict.fromkeys(outcomes)


@settings(PROPERTY, max_examples=12)
@given(shape=shapes(2), value=values)
async def test_it_does_so_asked_streamed_nested_and_referred_to(anyio_backend: str, shape: Shape, value: Any) -> None:
    await check_every_way(shape, value)


@pytest.mark.slow
@settings(PROPERTY, max_examples=40)
@given(shape=shapes(), value=values)
async def test_so_do_many_in_every_way(anyio_backend: str, shape: Shape, value: Any) -> None:
    await check_every_way(shape, value)


@settings(PROPERTY, max_examples=10)
@given(shape=shapes(2), value=values)
def test_it_does_so_without_any_event_loop_in_sight(shape: Shape, value: Any) -> None:
    expected = meaning_of(shape, value)
    with BlockingMesh(settings=settings_for_tests()) as mesh:
        built = Kit().build(shape)
        ref = mesh.add(built)
        outcomes = {
            "ask": result_of(ref.ask, value),
            "run": result_of(built.blocking.run, value),
            "stream": result_of(lambda: built.blocking.stream(value).result()),
        }

    mistakes = {way: mistake(shape, expected, outcome) for way, outcome in outcomes.items()}
    assert mistakes == dict.fromkeys(outcomes)


def test_it_does_so_in_no_mesh_at_all() -> None:
    for seed in range(10):
        chance = random.Random(seed)  # noqa: S311 – repeatable is the point
        shape = Maker(chance.randrange).shape(2)
        expected = plain_meaning(shape, seed)

        assert mistake(shape, expected, result_of(Kit().build(shape).blocking.run, seed)) is None


# -- what a pipeline is ------------------------------------------------------------------------------------------------


@settings(PROPERTY, max_examples=40)
@given(shape=shapes())
def test_its_description_is_data_and_always_the_same(shape: Shape) -> None:
    kit = Kit()
    first, second = kit.build(shape).describe(), kit.build(shape).describe()

    assert first == second
    assert json.loads(json.dumps(first)) == first
    for place, node in nodes_of(first):
        assert node["place"] == place
        assert node["kind"] in KINDS
        assert isinstance(node["label"], str)


def nodes_of(node: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return all nodes of a description with the places where they are."""
    yield place, node
    for index, child in enumerate(node.get("children", [])):
        yield from nodes_of(child, f"{place}.{index}" if place else f"{index}")


@settings(PROPERTY, max_examples=40)
@given(shape=shapes())
def test_equal_trees_are_equal_pipelines(shape: Shape) -> None:
    kit = Kit()

    assert kit.build(shape) == kit.build(shape)
    assert kit.build(shape) != kit.build(InSequence(steps=[shape, Leaf(number=10_000)]))


@settings(PROPERTY, max_examples=20)
@given(shape=shapes(2))
def test_a_pipeline_cannot_be_changed(shape: Shape) -> None:
    built = Kit().build(shape)
    before = json.dumps(built.describe())

    for name in ("name", "tree", "root", "surprise"):
        with pytest.raises(AttributeError):
            setattr(built, name, None)
    _ = built >> apply_nothing
    _ = built.named("another")

    assert json.dumps(built.describe()) == before


def apply_nothing(value: Any) -> Any:
    """Return *value*."""
    return value


@settings(PROPERTY, max_examples=20)
@given(shapes=st.tuples(shapes(1), shapes(1), shapes(1)), value=values)
async def test_where_the_brackets_are_makes_no_difference(
    anyio_backend: str, shapes: tuple[Shape, Shape, Shape], value: Any
) -> None:
    kit = Kit()
    number(InSequence(steps=list(shapes)))
    one, two, three = (pipeline(kit.stage(shape)) for shape in shapes)
    expected = meaning_of(InSequence(steps=list(shapes)), value)
    async with checked_mesh() as mesh:
        left, right = (one >> two) >> three, one >> (two >> three)
        outcomes = [
            await outcome_of(mesh.add(each.named(name)).ask(value)) for name, each in (("l", left), ("r", right))
        ]

    for outcome in outcomes:
        assert mistake(InSequence(steps=list(shapes)), expected, outcome) is None
