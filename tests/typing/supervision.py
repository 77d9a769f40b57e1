# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of children, watches, and of looking into a mesh; never run."""

from typing import Literal, assert_type

from ceylon import Agent, BlockingContext, BlockingMesh, BlockingRef, Context, Mesh, Ref, Terminated, on
from ceylon.core.findings import Ledger, OpenMessage, Wait, Why
from ceylon.messages import Envelope


def by_kind(error: BaseException, envelope: Envelope) -> Literal["resume", "escalate"]:
    return "resume" if isinstance(error, ValueError) else "escalate"


class Child(Agent):
    on_failure = staticmethod(by_kind)
    strategy = "rest_for_one"
    max_restarts = 3
    restart_period = 60.0
    handler_timeout = 2.0
    critical = True
    reentrant = True


class Misspelt(Agent):
    on_failure = "retry"  # type: ignore[assignment]
    strategy = "one_for_al"  # type: ignore[assignment]


class Parent(Agent):
    async def on_start(self, context: Context) -> None:
        child = context.spawn(Child("child"))
        assert_type(child, Ref)
        context.spawn(Child)  # type: ignore[arg-type]
        context.watch(child)
        context.watch("child")
        context.unwatch(child)
        context.watch(3)  # type: ignore[arg-type]
        assert_type(context.parent, str)
        assert_type(context.children, tuple[str, ...])

    @on
    async def ended(self, ended: Terminated) -> None:
        assert_type(ended.address, str)
        assert_type(ended.reason, Literal["stopped", "failed", "unknown"])
        assert_type(ended.error, str)


class BlockingParent(Agent):
    def on_start(self, context: BlockingContext) -> None:
        child = context.spawn(Child("child"))
        assert_type(child, BlockingRef)
        context.watch(child)
        context.unwatch("child")


async def a_mesh_can_be_looked_into(mesh: Mesh, ref: Ref) -> None:
    assert_type(mesh.ledger(), Ledger)
    assert_type(mesh.ledger().open, list[OpenMessage])
    assert_type(mesh.waits(), list[Wait])
    assert_type(mesh.why("1-2"), Why)
    assert_type(mesh.why("1-2").waits_for, tuple[Wait, ...])
    await mesh.stop(ref, at_once=True)
    await mesh.stop("child")


def a_blocking_mesh_likewise(mesh: BlockingMesh, ref: BlockingRef) -> None:
    assert_type(mesh.ledger(), Ledger)
    assert_type(mesh.waits(), list[Wait])
    assert_type(mesh.why("1-2"), Why)
    mesh.stop(ref, at_once=True)
