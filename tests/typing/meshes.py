# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of meshes: adding, opening, looking in; never run."""

from typing import assert_type

import ceylon
from ceylon import (
    Agent,
    BlockingFamily,
    BlockingMesh,
    BlockingPool,
    BlockingRef,
    Context,
    DeadLetter,
    Family,
    InMemorySnapshots,
    Mesh,
    NextDelivery,
    NextHandling,
    Pool,
    Ref,
    Subscription,
)
from ceylon.core.ledger import AgentStatistics, MeshStatistics, Reason
from ceylon.messages import Envelope


class Shop(Agent):
    """Sells tea."""


async def a_mesh_is_an_async_context_manager() -> None:
    async with Mesh("market", max_hops=8) as mesh:
        assert_type(mesh, Mesh)
        assert_type(mesh.add(Shop("shop")), Ref)
        assert_type(mesh.ref("shop"), Ref)
        assert_type(mesh.blocking, BlockingMesh)
        assert_type(mesh.add(Shop("kiosk")).blocking, BlockingRef)
        assert_type(mesh.agent("shop").name, str)


def a_plain_function_and_an_async_one_are_interceptors() -> None:
    def deliver(envelope: Envelope, call_next: NextDelivery) -> None:
        assert_type(call_next(envelope), None)
        assert_type(call_next.now, float)

    async def handle(envelope: Envelope, call_next: NextHandling) -> object:
        assert_type(call_next.context, Context)
        return await call_next(envelope)

    Mesh(interceptors=[deliver, handle])
    BlockingMesh(interceptors=(handle,))
    Mesh(interceptors=[Shop])  # type: ignore[list-item]


async def topics_are_subscribed_to(mesh: Mesh, blocking: BlockingMesh, ref: Ref, context: Context) -> None:
    assert_type(mesh.subscribe("sales.*", ref, group="billing", when_full="refuse"), Subscription)
    assert_type(blocking.subscribe("sales.*", "shop"), Subscription)
    assert_type(context.subscribe("sales.*"), Subscription)
    assert_type(await mesh.publish("sales.tea", 1, when_full="refuse"), int)
    await mesh.publish("sales.tea", 1, when_full="never")  # type: ignore[arg-type]


async def a_mesh_is_started_and_stopped_by_hand(mesh: Mesh, ref: Ref) -> None:
    assert_type(await mesh.start(), Mesh)
    await mesh.wait()
    await mesh.drain()
    await mesh.stop("shop")
    await mesh.stop(ref, at_once=True)
    await mesh.stop()


async def one_name_stands_for_many_agents(mesh: Mesh) -> None:
    assert_type(mesh.register(Shop), Family)
    family = mesh.register(lambda key: Shop(f"shop-{key}"), "kiosk", idle=60, limit=10, snapshots=InMemorySnapshots())
    assert_type(family.ref("lisbon"), Ref)
    assert_type(family.blocking, BlockingFamily)
    assert_type(mesh.ref(Shop, key="lisbon"), Ref)
    pool = mesh.pool(Shop, "shops", size=2, routing="least_loaded")
    assert_type(pool, Pool)
    assert_type(mesh.pool(Shop, "towns", size=2, routing=lambda message: message.town), Pool)
    assert_type(pool.members, tuple[str, ...])
    assert_type(pool.blocking, BlockingPool)
    await pool.resize(3)
    mesh.pool(Shop, "none", size=2, routing="random")  # type: ignore[arg-type]
    mesh.register(5)  # type: ignore[arg-type]


def one_name_stands_for_many_agents_in_threads(mesh: BlockingMesh) -> None:
    assert_type(mesh.register(Shop).ref("lisbon"), BlockingRef)
    assert_type(mesh.ref(Shop, key="lisbon"), BlockingRef)
    assert_type(mesh.pool(Shop, "shops", size=2), BlockingPool)
    mesh.pool(Shop, "more", size=2).resize(3)


def a_blocking_mesh_is_a_context_manager() -> None:
    with BlockingMesh("market", backend="trio") as mesh:
        assert_type(mesh, BlockingMesh)
        assert_type(mesh.add(Shop("shop")), BlockingRef)
        assert_type(mesh.ref("shop"), BlockingRef)
        mesh.drain()
        mesh.stop("shop")


def a_blocking_mesh_is_started_by_hand(mesh: BlockingMesh) -> None:
    assert_type(mesh.start(), BlockingMesh)
    mesh.stop(at_once=True)


def both_are_looked_into(mesh: Mesh, blocking: BlockingMesh) -> None:
    assert_type(mesh.statistics(), MeshStatistics)
    assert_type(blocking.statistics(), MeshStatistics)
    assert_type(mesh.statistics().is_balanced, bool)
    assert_type(mesh.statistics().agents["shop"], AgentStatistics)
    assert_type(mesh.statistics().agents["shop"].completed, int)
    assert_type(mesh.draw(), str)
    assert_type(blocking.svg(), str)
    assert_type(mesh.dead_letters(), list[DeadLetter])
    assert_type(blocking.dead_letters(), list[DeadLetter])
    assert_type(mesh.dead_letters()[0].reason, Reason)
    assert_type(mesh.agents, list[str])
    assert_type(blocking.agents, list[str])
    assert_type(mesh.is_open, bool)
    assert_type(blocking.is_open, bool)
    assert_type(mesh.name, str)
    assert_type(blocking.name, str)


def the_process_has_a_mesh() -> None:
    assert_type(ceylon.default_mesh(), BlockingMesh)
    assert_type(ceylon.__version__, str)


def only_agents_are_added(mesh: Mesh) -> None:
    mesh.add("shop")  # type: ignore[arg-type]
    mesh.add(Shop)  # type: ignore[arg-type]
    BlockingMesh("market", backend="twisted")  # type: ignore[arg-type]
