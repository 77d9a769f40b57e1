"""A mesh for code that blocks: the same verbs, a thread of its own; and the one that belongs to the process."""

import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingMesh,
    BlockingRef,
    HandlerError,
    MeshClosedError,
    Message,
    UnknownAgentError,
    action,
    default_mesh,
    on,
)
from ceylon.errors import BlockingCallError, DuplicateNameError
from support.law import check_end, check_law
from support.leftovers import DEADLINE, quick, threads_left, wait_until

Backend = Literal["asyncio", "trio"]


class Story(Message[Any]):
    """Tell a story in these parts."""

    parts: tuple[Any, ...]


class Shop(Agent):
    """Sells tea, in both colours."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.log: list[Any] = []

    async def on_start(self) -> None:
        self.log.append("start")

    def on_stop(self) -> None:
        self.log.append("stop")

    @on
    async def order(self, sku: str) -> str:
        self.log.append(sku)
        return f"sold {sku}"

    @on
    def count(self, number: int) -> int:
        return number + 1

    @on
    async def fail(self, error: ValueError) -> None:
        raise error

    @on
    def tell_story(self, story: Story) -> Iterator[Any]:
        yield from story.parts

    @on(topic="news.*")
    async def read(self, news: bytes) -> None:
        self.log.append(news)

    @action
    def stock(self, sku: str) -> int:
        """How much there is."""
        return len(sku)


class Blocked(Agent):
    """Waits in a thread until it is released."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.is_inside, self.may_go = threading.Event(), threading.Event()

    def on_message(self, message: Any) -> Any:
        self.is_inside.set()
        assert self.may_go.wait(DEADLINE)
        return message


@pytest.fixture(params=["asyncio", "trio"])
def mesh(request: pytest.FixtureRequest) -> Iterator[BlockingMesh]:
    """A mesh on a thread of its own, whose thread must be gone at the end."""
    backend: Backend = request.param
    with BlockingMesh("test", backend=backend, settings=quick()) as mesh:
        yield mesh
    check_end(mesh.statistics())
    wait_until(lambda: not threads_left("test"))


def test_every_verb_works(mesh: BlockingMesh) -> None:
    shop = mesh.add(Shop("shop"))

    shop.tell("by tell")
    shop.tell_nowait("by tell_nowait")
    mesh.tell("shop", "by the mesh")
    answers = [
        shop.ask("by ask"),
        mesh.ask(shop, "by the mesh"),
        shop.ask(1),
        shop.call("stock", sku="assam"),
        mesh.call("shop", "stock", sku="darjeeling"),
        list(shop.stream(Story(("once", "upon")))),
        mesh.stream("shop", Story(("a", "time"))).result(),
        shop.ask(Story((1, 2))),
        mesh.publish("news.today", b"extra"),
        mesh.broadcast("to all", exclude=["shop"]),
        mesh.broadcast("to all"),
        shop.using(timeout=60).ask("by using"),
    ]
    mesh.drain()

    assert answers == [
        "sold by ask", "sold by the mesh", 2, 5, 10, ["once", "upon"], ["a", "time"], [1, 2], 1, 0, 1, "sold by using",
    ]  # fmt: skip
    assert mesh.statistics().agents["shop"].failed == 0
    check_law(mesh.statistics())


def test_errors_come_through(mesh: BlockingMesh) -> None:
    shop = mesh.add(Shop("shop"))
    blocked = Blocked("blocked")
    mesh.add(blocked)

    with pytest.raises(HandlerError, match="out of tea"):
        shop.ask(ValueError("out of tea"))
    with pytest.raises(UnknownAgentError, match="shop"):
        mesh.ask("shap", "hello")
    with pytest.raises(DuplicateNameError):
        mesh.add(Shop("shop"))
    with pytest.raises(AskTimeoutError):
        mesh.ask("blocked", "hello", timeout=0.02)
    blocked.may_go.set()


def test_it_knows_its_agents(mesh: BlockingMesh) -> None:
    agent = Shop("shop")
    shop = mesh.add(agent)

    assert isinstance(shop, BlockingRef)
    assert mesh.ref("shop") == shop
    assert mesh.agents == ["shop"]
    assert mesh.agent("shop") is agent
    assert mesh.name == "test"
    assert "'test' open 1 agents" in repr(mesh)
    with pytest.raises(UnknownAgentError):
        mesh.agent("shap")


def test_stopping_an_agent_returns_when_it_is_gone(mesh: BlockingMesh) -> None:
    agent = Shop("shop")
    shop = mesh.add(agent)
    shop.ask("hello")

    mesh.stop(shop)

    assert agent.log == ["start", "hello", "stop"]
    assert mesh.agents == []
    with pytest.raises(UnknownAgentError):
        mesh.stop("shop")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_leaving_the_block_drains(backend: Backend) -> None:
    agent = Shop("shop")
    with BlockingMesh("test", backend=backend) as mesh:
        shop = mesh.add(agent)
        for number in range(500):
            shop.tell(str(number))

    assert agent.log == ["start", *map(str, range(500)), "stop"]
    assert not mesh.is_open
    assert "closed" in repr(mesh)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_exception_in_the_block_cancels_at_once_and_comes_out(backend: Backend) -> None:
    agent = Shop("shop")
    blocked = Blocked("blocked")
    settings = quick(drain_timeout=60, stop_grace=2.0)

    with pytest.raises(LookupError), BlockingMesh("test", backend=backend, settings=settings) as mesh:
        mesh.add(agent).ask("hello")
        mesh.add(blocked).tell("stuck")
        assert blocked.is_inside.wait(DEADLINE)
        raise LookupError

    assert agent.log[-1] == "stop"
    assert mesh.statistics().threads.abandoned == 1
    blocked.may_go.set()
    wait_until(lambda: not threads_left("test"))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_mesh_that_is_to_stop_soon_finishes_its_messages_while_nobody_waits(backend: Backend) -> None:
    agent = Shop("shop")
    mesh = BlockingMesh("test", backend=backend, settings=quick()).start()
    mesh.add(agent).tell("hello")

    mesh.stop_soon()
    mesh.wait()

    assert agent.log == ["start", "hello", "stop"]
    mesh.stop_soon()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_wait_returns_when_another_thread_stops_the_mesh(backend: Backend) -> None:
    agent = Shop("shop")
    mesh = BlockingMesh("test", backend=backend, settings=quick()).start()
    mesh.add(agent).ask("hello")
    returned = threading.Event()

    def wait() -> None:
        mesh.wait()
        returned.set()

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    mesh.stop()
    for thread in waiting:
        thread.join(DEADLINE)

    assert returned.is_set()
    assert agent.log == ["start", "hello", "stop"]
    mesh.stop()


def test_many_threads_ask_at_once(mesh: BlockingMesh) -> None:
    shop = mesh.add(Shop("shop"))
    got: list[int] = []

    def ask(first: int) -> None:
        got.extend(shop.ask(number) for number in range(first, first + 50))

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert sorted(got) == list(range(1, 401))


def test_a_closed_mesh_says_so() -> None:
    with BlockingMesh("shut", settings=quick()) as mesh:
        shop = mesh.add(Shop("shop"))

    for verb in (shop.ask, shop.tell, shop.tell_nowait, mesh.broadcast):
        with pytest.raises(MeshClosedError, match="'shut'"):
            verb("hello")
    with pytest.raises(MeshClosedError, match="'shut'"):
        next(shop.stream(Story(("hello",))))
    with pytest.raises(MeshClosedError, match="'shut'"):
        mesh.add(Shop("another"))
    with pytest.raises(MeshClosedError, match="once"):
        mesh.start()
    mesh.stop()
    mesh.wait()
    assert mesh.dead_letters() == []


def test_a_mesh_that_never_opened_says_so() -> None:
    mesh = BlockingMesh("unopened")
    shop = mesh.add(Shop("shop"))

    with pytest.raises(MeshClosedError, match="not been started"):
        shop.ask("hello")
    mesh.stop()
    mesh.wait()
    assert mesh.dead_letters() == []
    assert mesh.statistics().agents["shop"].accepted == 0
    assert mesh.agents == ["shop"]


def test_two_meshes_stand_side_by_side() -> None:
    with BlockingMesh("left", settings=quick()) as left, BlockingMesh("right", backend="trio") as right:
        left.add(Shop("shop"))
        right.add(Shop("shop"))

        assert left.ask("shop", "tea") == right.ask("shop", "tea") == "sold tea"


class Suicidal(Agent):
    """Stops its own mesh."""

    def __init__(self, name: str, mesh: BlockingMesh) -> None:
        super().__init__(name)
        self.mesh = mesh

    @on
    async def stop_on_loop(self, word: str) -> None:
        self.mesh.stop()

    @on
    def stop_in_thread(self, number: int) -> None:
        self.mesh.stop()


def test_stopping_it_on_its_own_loop_raises_with_advice(mesh: BlockingMesh) -> None:
    suicidal = mesh.add(Suicidal("suicidal", mesh))

    with pytest.raises(HandlerError) as caught:
        suicidal.ask("stop")

    assert isinstance(caught.value.root, BlockingCallError)
    assert mesh.is_open


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handler_in_a_thread_may_stop_it(backend: Backend) -> None:
    mesh = BlockingMesh("test", backend=backend, settings=quick(drain_timeout=0.1, stop_grace=0.1)).start()
    suicidal = mesh.add(Suicidal("suicidal", mesh))

    assert suicidal.ask(1) is None  # it comes to its own end first
    mesh.wait()

    assert not mesh.is_open
    wait_until(lambda: not threads_left("test"))


# -- the process's own -------------------------------------------------------------------------------------------------


def test_the_default_mesh_is_one_for_all_threads() -> None:
    found: list[BlockingMesh] = []
    threads = [threading.Thread(target=lambda: found.append(default_mesh())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert len({id(mesh) for mesh in found}) == 1
    assert found[0] is default_mesh()
    assert found[0].name == "default"
    assert found[0].is_open


def test_the_default_mesh_starts_again_after_a_stop() -> None:
    before = default_mesh()
    shop = before.add(Shop("default-shop"))
    assert shop.ask("tea") == "sold tea"

    before.stop()
    after = default_mesh()

    assert after is not before
    assert after.is_open
    assert not before.is_open
    with pytest.raises(MeshClosedError):
        shop.ask("tea")
    after.add(Shop("default-shop"))
    after.stop("default-shop")
