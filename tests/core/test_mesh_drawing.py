"""Pictures of a mesh: its agents and their children, who talks to whom, what failed; from what it remembers anyway."""

import sys
from typing import Any

import anyio
import anyio.to_thread
import pytest

from ceylon import Agent, BlockingMesh, Context, HandlerError, Mesh, UnknownAgentError, on
from ceylon.core.roads import Road, roads_of
from support.charts import Chart, read
from support.core_agents import Echo, Held, until
from support.leftovers import quick


class Passer(Agent):
    """Passes everything on to the agent `echo`."""

    @on
    async def text(self, text: str, context: Context) -> Any:
        return await context.ask("echo", text)


class Breaking(Agent):
    """Fails at everything."""

    async def on_message(self, message: Any) -> None:
        raise ValueError(message)


class Clerk(Agent):
    """Does what the boss says."""

    @on
    async def text(self, text: str, context: Context) -> str:
        return text


class Boss(Agent):
    """Has two clerks, and passes everything on to them."""

    async def on_start(self, context: Context) -> None:
        for name in ("clerk-a", "clerk-b"):
            context.spawn(Clerk(name))

    @on
    async def text(self, text: str, context: Context) -> list[str]:
        return [await context.ask(name, text) for name in context.children]


def drawn(text: str) -> "Drawn":
    """Return the picture, to be asked by the agents' names."""
    return Drawn(read(text))


class Drawn:
    """A chart of a mesh whose boxes are called by their first lines."""

    def __init__(self, chart: Chart) -> None:
        self._names = {key: lines[0] for key, lines in chart.boxes.items()}
        self.boxes = {lines[0]: lines[1:] for lines in chart.boxes.values()}
        self.marks = {name: chart.classes[key] for key, name in self._names.items()}
        self.arrows = {(self._names[giver], self._names[taker]): word for giver, taker, word in chart.edges}
        self.frames = [*chart.frames.values()]


async def test_arrows_count_the_messages_between_agents_and_from_outside(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    passer = mesh.add(Passer("passer"))
    for _ in range(3):
        await passer.ask("hi")
    await mesh.tell("echo", "hi")
    await mesh.drain()
    picture = drawn(mesh.draw())

    assert picture.arrows == {
        ("callers outside", "passer"): "×3",
        ("passer", "echo"): "×3",
        ("callers outside", "echo"): "×1",
    }
    assert picture.boxes["echo"] == ["Echo", "4 done"]


async def test_failures_are_said_and_red(mesh: Mesh) -> None:
    failing = mesh.add(Breaking("failing"))
    mesh.add(Echo("quiet"))
    with pytest.raises(HandlerError):
        await failing.ask("x")
    with pytest.raises(UnknownAgentError):
        await mesh.tell("nobody", "x")
    text = mesh.draw()
    picture = drawn(text)

    assert picture.arrows == {("callers outside", "failing"): "1 failed", ("callers outside", "nobody"): "1 refused"}
    assert picture.boxes == {
        "callers outside": [],
        "failing": ["Breaking", "1 failed"],
        "quiet": ["Echo", "no message yet"],
        "nobody": ["no such agent"],
    }
    assert (picture.marks["failing"], picture.marks["nobody"], picture.marks["quiet"]) == ("failed", "failed", "plain")
    assert "linkStyle 0,1 stroke:#cf222e" in text


async def test_children_stand_in_a_frame_with_their_parent(mesh: Mesh) -> None:
    boss = mesh.add(Boss("boss"))
    await boss.ask("go")
    picture = drawn(mesh.draw())

    assert picture.frames == ["boss and its children"]
    assert {("boss", "clerk-a"): "×1", ("boss", "clerk-b"): "×1"}.items() <= picture.arrows.items()


async def test_what_is_open_is_counted_too(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("a")
    await ref.tell("b")
    await until(lambda: held.begun)
    picture = drawn(mesh.draw())

    assert picture.arrows == {("callers outside", "held"): "2 open"}
    assert picture.boxes["held"] == ["Held", "2 pending"]
    assert picture.marks["held"] == "running"
    held.gate.set()


async def test_an_agent_that_has_left_is_still_on_its_roads(mesh: Mesh) -> None:
    await mesh.add(Echo("gone")).ask("x")
    await mesh.stop("gone")
    picture = drawn(mesh.draw())

    assert picture.boxes["gone"] == ["not there any more"]
    assert picture.marks["gone"] == "never"


async def test_conversations_belong_to_their_agent(mesh: Mesh) -> None:
    class Keyed(Echo):
        takes_keys = True

    mesh.add(Keyed("keyed"))
    await mesh.ask("keyed/alice", "x")
    await mesh.ask("keyed/bob", "x")
    picture = drawn(mesh.draw())

    assert picture.arrows == {("callers outside", "keyed"): "×2"}


async def test_the_busiest_get_a_box_and_the_others_one_together(anyio_backend: Any) -> None:
    async with Mesh("big", settings=quick(picture_agents=2, picture_roads=2)) as mesh:
        for number in range(5):
            ref = mesh.add(Echo(f"echo-{number}"))
            for _ in range(number):
                await ref.ask("x")
        picture = drawn(mesh.draw())

    assert {"echo-4", "echo-3"} == {name for name in picture.boxes if name.startswith("echo")}
    assert picture.arrows == {("callers outside", "echo-4"): "×4", ("callers outside", "… 3 more agents"): "×3"}
    assert "… 1 more arrow, of fewer messages" in {" ".join([name, *rest]) for name, rest in picture.boxes.items()}


@pytest.mark.parametrize(("agents", "direction"), [(8, "TD"), (9, "LR")])
def test_many_agents_stand_below_each_other(agents: int, direction: str) -> None:
    mesh = Mesh("plant")
    for number in range(agents):
        mesh.add(Echo(f"echo-{number}"))

    assert f"\nflowchart {direction}\n" in mesh.draw()


async def test_the_title_says_how_far_it_looks_back(anyio_backend: Any) -> None:
    async with Mesh("short", settings=quick(ledger_ring=3)) as mesh:
        echo = mesh.add(Echo("echo"))
        await echo.ask("x")
        assert 'title: "short: 1 message"' in mesh.draw()
        for _ in range(9):
            await echo.ask("x")
        picture = mesh.draw()

    assert 'title: "short: the last 3 messages that ended"' in picture
    assert drawn(picture).boxes["echo"] == ["Echo", "10 done"]


async def test_the_roads_add_up_to_the_ledger(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    passer, failing = mesh.add(Passer("passer")), mesh.add(Breaking("failing"))
    for _ in range(4):
        await passer.ask("x")
        await failing.tell("x")
    await mesh.drain()
    roads = roads_of(mesh.interior.router)

    for name, counted in mesh.statistics().agents.items():
        into = [road for road in roads if road.recipient == name]
        assert sum(road.total for road in into) == counted.accepted
        assert sum(road.counts.get("failed", 0) for road in into) == counted.failed


def test_a_road_counts_what_another_has() -> None:
    road, other = Road(sender="a", recipient="b"), Road(sender="a", recipient="c")
    road.add("completed", 2)
    other.add("completed")
    other.add("expired")
    road.add_all(other)

    assert (road.total, road.lost, other.total) == (4, 1, 2)


def test_a_mesh_that_was_not_started_shows_its_agents() -> None:
    mesh = Mesh("early")
    mesh.add(Echo("echo"))

    assert drawn(mesh.draw()).boxes == {"echo": ["Echo", "starting", "no message yet"]}


async def test_the_blocking_twin_draws_the_same(mesh: Mesh) -> None:
    await mesh.add(Echo("echo")).ask("x")

    assert await anyio.to_thread.run_sync(mesh.blocking.draw) == mesh.draw()


def test_a_blocking_mesh_is_drawn_before_meanwhile_and_after() -> None:
    mesh = BlockingMesh("shop")
    echo = mesh.add(Echo("echo"))
    assert drawn(mesh.draw()).arrows == {}
    with mesh:
        echo.ask("x")
        meanwhile = drawn(mesh.draw()).arrows

    assert meanwhile == drawn(mesh.draw()).arrows == {("callers outside", "echo"): "×1"}


def test_a_notebook_gets_a_picture_or_the_text_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = BlockingMesh("shop")
    mesh.add(Echo("echo"))
    assert mesh._repr_mimebundle_()["image/svg+xml"] == mesh.svg()
    monkeypatch.setitem(sys.modules, "mermaidx", None)  # as if it were not installed

    for shown in (mesh._repr_mimebundle_(), Mesh("other")._repr_mimebundle_()):
        assert set(shown) == {"text/plain", "text/markdown"}


async def test_a_notebook_on_the_mesh_s_own_loop_gets_the_name_of_its_blocking_face(mesh: Mesh) -> None:
    assert mesh.blocking._repr_mimebundle_() == {"text/plain": repr(mesh.blocking)}
