"""How programs with a mesh end: signals at any moment, under load, twice; stuck code; exit without a stop; many meshes.

Every test runs programs of its own. A program under load prints `True 0` at its end: the law holds, no ask is open.
"""

import random
import signal
from pathlib import Path
from typing import Final

import pytest

from support.scripts import Script, assert_quiet, run, without_final_interrupt

pytestmark = pytest.mark.process

LOAD: Final = """
    class Busy(Agent):
        @on
        async def add(self, number: int, context: Context) -> int:
            await anyio.sleep(0.001)
            return await context.ask("sum", number)

    class Sum(Agent):
        def on_message(self, message, context=None):
            return message + 1

        def on_stop(self):
            say("on_stop")

    def load(mesh):
        say_when_waited_for()
        mesh.add(Busy("busy"))
        mesh.add(Sum("sum"))

    def feed(mesh):
        try:
            for number in range(1_000_000):
                mesh.tell("busy", number)
                if not number % 10:
                    mesh.ask("busy", number)
                if number == 100:
                    say("ready")
        except CeylonError:
            pass

    def report(mesh):
        statistics = mesh.statistics()
        say(f"{statistics.is_balanced} {statistics.pending_asks}")
"""
ASYNC: Final = (
    LOAD
    + """
    mesh = Mesh(settings=QUICK)

    async def main():
        async with mesh:
            load(mesh)
            threading.Thread(target=feed, args=[mesh.blocking], daemon=True).start()
            await mesh.wait()

    try:
        anyio.run(main, backend="BACKEND")
    finally:
        report(mesh)
    """
)
BLOCKING: Final = (
    LOAD
    + """
    mesh = BlockingMesh(settings=QUICK)
    try:
        with mesh:
            load(mesh)
            threading.Thread(target=feed, args=[mesh], daemon=True).start()
            mesh.wait()
    finally:
        report(mesh)
    """
)
PROGRAMS: Final = {
    "asyncio": ASYNC.replace("BACKEND", "asyncio"),
    "trio": ASYNC.replace("BACKEND", "trio"),
    "blocking": BLOCKING,
}
on_each_program = pytest.mark.parametrize("program", PROGRAMS)


def under_load(program: str, seed: int, folder: Path, settings: str = "QUICK") -> Script:
    """Start a program, and let it work for a while that the seed decides."""
    script = Script(PROGRAMS[program].replace("settings=QUICK", f"settings={settings}"), folder)
    script.wait_for("ready", "waited for")
    script.sleep(random.Random(f"{program} {seed}").uniform(0.0, 0.1))  # noqa: S311 – nobody's secret
    return script


@on_each_program
@pytest.mark.parametrize("seed", range(6))
def test_ctrl_c_at_any_moment_stops_the_mesh_in_order(program: str, seed: int, tmp_path: Path) -> None:
    script = under_load(program, seed, tmp_path)

    script.interrupt()

    said, errors = script.end()
    assert said == ["on_stop", "True 0"]
    assert script.exit_code == 130
    assert_quiet(without_final_interrupt(errors))


@on_each_program
@pytest.mark.parametrize("seed", range(3))
def test_sigterm_under_load_lets_a_mesh_that_is_waited_for_end_in_order(
    program: str, seed: int, tmp_path: Path
) -> None:
    script = under_load(program, seed, tmp_path, "SHORT_DRAIN")

    script.send(signal.SIGTERM)

    said, errors = script.end()
    assert said == ["on_stop", "True 0"]
    assert (script.exit_code, errors) == (0, "")


@pytest.mark.parametrize("program", ["async", "blocking"])
def test_a_second_sigterm_ends_the_drain(program: str, tmp_path: Path) -> None:
    source = """
        say_when_waited_for()
        mesh = Mesh(settings=QUICK)
        say_when(lambda: mesh.interior.is_stopping, "draining")

        async def main():
            async with mesh:
                await mesh.add(Shop("shop")).tell(1.0)
                await mesh.wait()

        asyncio.run(main())
        """
    if program == "blocking":
        source = """
        say_when_waited_for()
        mesh = BlockingMesh(settings=QUICK)
        say_when(lambda: mesh.interior.is_stopping, "draining")
        with mesh:
            mesh.add(Shop("shop")).tell(1.0)
            mesh.wait()
        """
    script = Script(source, tmp_path)
    script.wait_for("ready", "waited for")

    script.send(signal.SIGTERM)
    script.wait_for("draining")  # two signals at once would be one
    script.send(signal.SIGTERM)

    said, errors = script.end()  # the drain alone would take five minutes
    assert said == ["cancelled", "on_stop"]
    assert (script.exit_code, errors) == (0, "")


def test_a_program_that_handles_sigterm_itself_keeps_its_handler(tmp_path: Path) -> None:
    script = Script(
        """
        signal.signal(signal.SIGTERM, lambda *_: say("mine") or mesh.interior.gateway.post_quietly(
            lambda: mesh.begin_stop(at_once=True)))
        mesh = Mesh(settings=QUICK)
        async def main():
            async with mesh:
                await mesh.add(Shop("shop")).tell(1.0)
                await mesh.wait()

        asyncio.run(main())
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.send(signal.SIGTERM)

    said, errors = script.end()
    assert said == ["mine", "cancelled", "on_stop"]
    assert (script.exit_code, errors) == (0, "")


def test_sigterm_ends_a_program_that_waits_for_no_mesh_as_it_would_any_other(tmp_path: Path) -> None:
    script = Script(
        """
        with BlockingMesh(settings=QUICK) as mesh:
            mesh.add(Shop("shop")).tell(1.0)
            threading.Event().wait()
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.send(signal.SIGTERM)

    script.end()
    assert script.exit_code == 128 + signal.SIGTERM


STUCK: Final = """
    class Stuck(Agent):
        def on_message(self, message):
            say("ready")
            import time
            time.sleep(3600)

        @on
        async def deaf(self, word: str):
            say("ready")
            while True:
                try:
                    await anyio.sleep(3600)
                except asyncio.CancelledError:
                    pass

    LONG = msgspec.structs.replace(DEFAULTS, stop_grace=0.3, drain_timeout=300.0)
"""


# A handler on the loop of `asyncio.run` itself is left out: at a second Ctrl-C that waits for every task there is.
@pytest.mark.parametrize(("program", "message"), [("asyncio", "1"), ("blocking", "1"), ("blocking", "'deaf'")], ids=str)
def test_a_second_ctrl_c_does_not_wait_for_code_that_is_stuck(program: str, message: str, tmp_path: Path) -> None:
    source = f"""
    mesh = Mesh(settings=LONG)
    say_when(lambda: mesh.interior.is_stopping, "stopping")

    async def main():
        async with mesh:
            await mesh.add(Stuck("stuck")).tell({message})
            await mesh.wait()

    asyncio.run(main())
    """
    if program == "blocking":
        source = f"""
    mesh = BlockingMesh(settings=LONG)
    say_when(lambda: mesh.interior.is_stopping, "stopping")
    with mesh:
        mesh.add(Stuck("stuck")).tell({message})
        mesh.wait()
    """
    script = Script(STUCK + source, tmp_path)
    script.wait_for("ready")

    script.interrupt()
    script.wait_for("stopping")  # two signals at once would be one
    script.interrupt()

    script.end()
    assert script.exit_code == 130


def test_a_handler_stuck_in_c_code_is_abandoned_counted_and_does_not_hold_the_exit(tmp_path: Path) -> None:
    said = run(
        """
        import time
        class Stuck(Agent):
            @on
            def sleep(self, seconds: float):
                time.sleep(seconds)
            @on
            def lock(self, number: int):
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
            @on
            def read(self, word: str):
                os.read(os.pipe()[0], 1)

        async def main():
            settings = msgspec.structs.replace(DEFAULTS, drain_timeout=0.1, stop_grace=0.1)
            async with Mesh(settings=settings) as mesh:
                for number, message in enumerate((3600.0, 1, "word")):
                    await mesh.add(Stuck(f"stuck-{number}")).tell(message)
                while mesh.statistics().threads.running < 3:
                    await anyio.sleep(0.01)
            statistics = mesh.statistics()
            say(f"{statistics.threads.abandoned} {statistics.threads.stuck} {statistics.is_balanced}")

        import logging
        logging.disable(logging.CRITICAL)
        asyncio.run(main())
        """,
        tmp_path,
    )

    assert said == ["3 3 True"]


@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
@pytest.mark.parametrize("verb", ["ask", "tell"])
def test_a_handler_that_exits_with_a_code_ends_its_message_only(kind: str, verb: str, tmp_path: Path) -> None:
    function = "async def" if kind == "async" else "def"
    said = run(
        f"""
        import logging
        logging.disable(logging.CRITICAL)
        class Exiting(Agent):
            inline = {kind == "inline"}
            {function} on_message(self, message):
                if message == "exit":
                    sys.exit(3)
                return message

        with BlockingMesh() as mesh:
            exiting = mesh.add(Exiting("exiting"))
            try:
                exiting.{verb}("exit")
            except HandlerError as error:
                say(type(error.root).__name__)
            say(exiting.ask("still here"))
            say(mesh.statistics().agents["exiting"].failed)
        """,
        tmp_path,
    )

    assert said == ["SystemExit"] * (verb == "ask") + ["still here", "1"]


@pytest.mark.parametrize("message", ["1.0", "'thread'", "2"], ids=["on-the-loop", "in-a-thread", "none"])
@pytest.mark.parametrize("program", ["async", "blocking", "default"])
def test_an_exit_without_a_stop_leaves_no_word_behind(program: str, message: str, tmp_path: Path) -> None:
    sources = {
        "async": """
        async def main():
            mesh = await Mesh(settings=QUICK).start()
            mesh.add(Left("left")).tell_nowait(MESSAGE)
            await anyio.sleep(0.05)

        asyncio.run(main())
        """,
        "blocking": """
        mesh = BlockingMesh(settings=QUICK).start()
        mesh.add(Left("left")).tell(MESSAGE)
        begun.wait(5)
        """,
        "default": """
        mesh = default_mesh()
        mesh.add(Left("left")).tell(MESSAGE)
        begun.wait(5)
        """,
    }
    run(
        """
        begun = threading.Event()
        class Left(Agent):
            @on
            async def wait(self, seconds: float):
                begun.set()
                await anyio.sleep(0.2)
            @on
            def wait_in_a_thread(self, word: str):
                begun.set()
                threading.Event().wait(0.2)
            @on
            def leave(self, number: int):
                begun.set()
        """
        + sources[program].replace("MESSAGE", message),
        tmp_path,
    )


def test_a_stop_from_an_exit_hook_ends_the_mesh_in_order(tmp_path: Path) -> None:
    said = run(
        """
        import atexit
        mesh = BlockingMesh(settings=QUICK)
        atexit.register(lambda: say(mesh.statistics().is_balanced))
        atexit.register(mesh.stop)
        mesh.start()
        shop = mesh.add(Shop("shop"))
        for number in range(10):
            shop.tell(str(number))
        """,
        tmp_path,
    )

    assert said == ["on_stop", "True"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_hundred_meshes_one_after_the_other_leave_nothing(backend: str, tmp_path: Path) -> None:
    said = run(
        f"""
        async def main(number):
            async with Mesh() as mesh:
                mesh.add(Sync("sync"))
                assert await mesh.add(Shop("shop")).ask("hello") == "hello"
                assert await mesh.ask("sync", number) == number + 1

        before = threading.active_count()
        Shop.on_stop = lambda self: None
        for number in range(100):
            anyio.run(main, number, backend={backend!r})
        for number in range(100):
            with BlockingMesh(backend={backend!r}) as mesh:
                assert mesh.add(Sync("sync")).ask(number) == number + 1
        import time
        end = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < end:
            time.sleep(0.01)
        say(threading.active_count() - before)
        """,
        tmp_path,
    )

    # trio keeps threads of its own for a while; none of them is a mesh's.
    assert int(said[0]) <= (0 if backend == "asyncio" else 2)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_agent_serves_in_one_loop_after_the_other(backend: str, tmp_path: Path) -> None:
    said = run(
        f"""
        class Memory(Agent):
            def __init__(self, name):
                super().__init__(name)
                self.seen = []
            @on
            async def see(self, word: str) -> list:
                await anyio.sleep(0.001)
                self.seen.append(word)
                return self.seen
            @on
            def see_in_a_thread(self, number: int) -> int:
                return number

        agent = Memory("memory")
        async def main(word):
            async with Mesh() as mesh:
                ref = mesh.add(agent)
                assert await ref.ask(7) == 7
                return await ref.ask(word)

        for word in ("one", "two", "three"):
            seen = anyio.run(main, word, backend={backend!r})
        say(seen)
        """,
        tmp_path,
    )

    assert said == ["['one', 'two', 'three']"]
