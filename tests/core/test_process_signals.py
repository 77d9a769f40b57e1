"""Meshes and the process around them: Ctrl-C, fork, and the interpreter's exit. Every test runs a script of its own."""

import os
from pathlib import Path
from typing import Final

import pytest

from support.scripts import Script, assert_quiet, run, without_final_interrupt

pytestmark = pytest.mark.process


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("waits", ["anyio.sleep_forever()", "mesh.wait()", "shop.ask(1.0)"])
def test_ctrl_c_in_an_async_script_stops_the_mesh_in_order(backend: str, waits: str, tmp_path: Path) -> None:
    script = Script(
        f"""
        async def main():
            async with Mesh(settings=QUICK) as mesh:
                shop = mesh.add(Shop("shop"))
                await shop.tell(1.0)
                await {waits}

        anyio.run(main, backend={backend!r})
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.interrupt()

    said, errors = script.end()
    assert said == ["cancelled", "on_stop"]
    assert script.exit_code == 130
    assert_quiet(without_final_interrupt(errors))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("waits", ["threading.Event().wait()", "mesh.wait()", "shop.ask(1.0)", "mesh.drain()"])
def test_ctrl_c_in_a_blocking_script_stops_the_mesh_in_order(backend: str, waits: str, tmp_path: Path) -> None:
    script = Script(
        f"""
        with BlockingMesh(backend={backend!r}, settings=QUICK) as mesh:
            shop = mesh.add(Shop("shop"))
            shop.tell(1.0)
            {waits}
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.interrupt()

    said, errors = script.end()
    assert said == ["cancelled", "on_stop"]
    assert script.exit_code == 130
    assert_quiet(without_final_interrupt(errors))


def test_ctrl_c_while_the_block_drains_ends_the_drain(tmp_path: Path) -> None:
    script = Script(
        """
        with BlockingMesh(settings=QUICK) as mesh:
            mesh.add(Shop("shop")).tell(1.0)
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.interrupt()

    said, errors = script.end()
    assert said == ["cancelled", "on_stop"]
    assert script.exit_code == 130
    assert_quiet(without_final_interrupt(errors))


def test_asyncio_run_may_be_used_instead_of_anyio(tmp_path: Path) -> None:
    script = Script(
        """
        async def main():
            async with Mesh(settings=QUICK) as mesh:
                await mesh.add(Shop("shop")).ask(1.0)

        asyncio.run(main())
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.interrupt()

    said, errors = script.end()
    assert said == ["cancelled", "on_stop"]
    assert script.exit_code == 130
    assert_quiet(without_final_interrupt(errors))


# -- exit --------------------------------------------------------------------------------------------------------------


def test_the_default_mesh_is_drained_when_the_interpreter_exits(tmp_path: Path) -> None:
    said = run(
        """
        class Slow(Shop):
            async def on_message(self, message):
                await anyio.sleep(0.01)
                say(message)

        shop = default_mesh().add(Slow("shop"))
        for number in range(5):
            shop.tell(number)
        say("end of script")
        """,
        tmp_path,
    )

    assert sorted(said) == sorted(["end of script", "0", "1", "2", "3", "4", "on_stop"])
    assert said[-1] == "on_stop"


def test_threads_of_the_default_mesh_are_drained_at_the_exit_as_well(tmp_path: Path) -> None:
    said = run(
        """
        class Slow(Agent):
            def on_message(self, message, context):
                say(context.ask("other", message))

        default_mesh().add(Sync("other"))
        slow = default_mesh().add(Slow("slow"))
        for number in range(5):
            slow.tell(number)
        """,
        tmp_path,
    )

    assert said == ["1", "2", "3", "4", "5"]


def test_a_mesh_that_nobody_stopped_does_not_hold_the_exit(tmp_path: Path) -> None:
    run(
        """
        mesh = BlockingMesh("forgotten").start()
        mesh.add(Sync("sync")).ask(1)
        async def main():
            forgotten = await Mesh("forgotten too").start()
            forgotten.add(Sync("sync"))
            await forgotten.ask("sync", 1)
        asyncio.run(main())
        """.replace("forgotten too", "forgotten-too"),
        tmp_path,
    )


def test_a_handler_that_exits_does_not_end_the_process(tmp_path: Path) -> None:
    said = run(
        """
        class Exiting(Agent):
            async def on_message(self, message):
                sys.exit(3)

        with BlockingMesh() as mesh:
            exiting = mesh.add(Exiting("exiting"))
            try:
                exiting.ask("now")
            except HandlerError as error:
                say(type(error.root).__name__)
        """,
        tmp_path,
    )

    assert said == ["SystemExit"]


# -- fork --------------------------------------------------------------------------------------------------------------

FORK: Final = """
    def in_child(function):
        sys.stdout.flush()
        child = os.fork()
        if not child:
            code = 1
            try:
                function()
                code = 0
            except BaseException as error:
                print(type(error).__name__, error, file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def refused(verb, *arguments):
        try:
            verb(*arguments)
        except MeshClosedError as error:
            assert "fork" in str(error), error
            assert str(os.getppid()) in str(error), error
            say("refused")
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_a_blocking_mesh_that_came_through_a_fork_names_it(tmp_path: Path) -> None:
    said = run(
        FORK
        + """
    with BlockingMesh("inherited") as mesh:
        ref = mesh.add(Sync("sync"))
        ref.ask(1)
        def child():
            refused(ref.ask, 1)
            refused(ref.tell, 1)
            refused(mesh.drain)
            refused(mesh.ask, "sync", 1)
            refused(lambda: next(ref.stream(1)))
            refused(mesh.add, Sync("another"))
            mesh.stop()
            with BlockingMesh("fresh") as fresh:
                say(fresh.add(Sync("sync")).ask(1))
            say(default_mesh().add(Sync("sync")).ask(2))
        in_child(child)
        say(ref.ask(9))
        """,
        tmp_path,
    )

    assert said == ["refused"] * 6 + ["2", "3", "0", "10"]


@needs_fork
def test_an_async_mesh_that_came_through_a_fork_names_it(tmp_path: Path) -> None:
    said = run(
        FORK
        + """
    async def main():
        async with Mesh("inherited") as mesh:
            ref = mesh.add(Sync("sync"))
            await ref.ask(1)
            def child():
                refused(ref.blocking.ask, 1)
                refused(ref.tell_nowait, 1)
                elsewhere = threading.Thread(target=lambda: refused(asyncio.run, ref.ask(1)))
                elsewhere.start()
                elsewhere.join()
            in_child(child)
            say(await ref.ask(9))

    asyncio.run(main())
        """,
        tmp_path,
    )

    assert said == ["refused", "refused", "refused", "0", "10"]


@needs_fork
def test_many_children_of_a_busy_parent_all_come_through(tmp_path: Path) -> None:
    said = run(
        FORK
        + """
    mesh = default_mesh()
    ref = mesh.add(Sync("sync"))
    for number in range(5):
        for _ in range(50):
            ref.tell(number)
        def child():
            assert default_mesh() is not mesh
            assert default_mesh().add(Sync("sync")).ask(number) == number + 1
            default_mesh().stop()
        in_child(child)
    say(ref.ask(1))
        """,
        tmp_path,
    )

    assert said == ["0"] * 5 + ["2"]
