"""What a program of `ceylonai-next` leaves behind: nothing."""

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from ceylon.compat import LocalMesh
from ceylon.compat.opening import open_meshes
from support.callers_processes import environment
from support.compat import Echo, SlowEcho

_PROGRAM = r"""
import sys, tempfile, threading, time
from ceylon.compat import Agent, LocalMesh

class Late(Agent):
    def on_message(self, message, context=None):
        time.sleep(0.2)
        print(f"late {message}\n", end="", flush=True)

class AsyncLate(Agent):
    async def on_message(self, message, context=None):
        import anyio
        await anyio.sleep(0.2)
        print(f"async {message}\n", end="", flush=True)

mesh = LocalMesh("market")
mesh.add_agent(Late("late"))
mesh.add_agent(AsyncLate("async"))
mesh.start()
for name in ("late", "async"):
    mesh.send_to(name, "message")
print("end", flush=True)
"""


_FORKING = r"""
import os, sys, warnings
from ceylon.compat import Agent, LocalMesh

class Echo(Agent):
    def on_message(self, message, context=None):
        return f"{context.mesh_name}: {message}"

def ask(name):
    mesh = LocalMesh(name)
    mesh.add_agent(Echo("echo"))
    sys.stdout.write(mesh.query_sync("echo", "hi").response + "\n")
    sys.stdout.flush()

ask("parent")
warnings.simplefilter("ignore")  # of forking beside threads
child = os.fork()
if child == 0:
    ask("child")
else:
    assert os.waitpid(child, 0)[1] == 0
"""


def written_by(source: str, tmp_path: Path) -> tuple[list[str], list[str]]:
    """Run a program; return the lines it wrote, and the names of the files it has left. It may complain of nothing."""
    program = tmp_path / "program.py"
    program.write_text(source)
    done = subprocess.run(  # noqa: S603 – our own program
        [sys.executable, "-W", "error", str(program)],
        env={**environment(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    return sorted(done.stdout.splitlines()), sorted(each.name for each in tmp_path.iterdir() if each != program)


@pytest.mark.process
def test_a_program_that_ends_has_its_messages_handled_and_leaves_nothing(tmp_path: Path) -> None:
    assert written_by(_PROGRAM, tmp_path) == (["async message", "end", "late message"], [])


@pytest.mark.process
def test_a_program_that_ends_without_a_drain_is_found(tmp_path: Path) -> None:
    cut_off = "import os, tempfile; tempfile.mkstemp(prefix='left'); os._exit(0)"

    lines, files = written_by(_PROGRAM + cut_off, tmp_path)

    assert lines == ["end"]
    assert len(files) == 1


@pytest.mark.process
def test_a_forked_child_has_a_mesh_of_its_own(tmp_path: Path) -> None:
    lines, _ = written_by(_FORKING, tmp_path)

    assert lines == ["child: hi", "parent: hi"]


def threads_of(mesh: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"ceylon {mesh} ")]


def gone(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(60)
    return not any(thread.is_alive() for thread in threads)


def test_a_mesh_nobody_has_any_more_finishes_its_messages_and_ends() -> None:
    mesh, slow = LocalMesh("forgotten"), SlowEcho()
    mesh.add_agent(slow)
    mesh.send_to("slow", "hi")
    threads, watched = threads_of("forgotten"), weakref.ref(mesh)

    del mesh
    gc.collect()
    assert watched() is None
    slow.go.set()

    assert threads
    assert gone(threads)
    assert slow.heard == ["hi"]
    assert "forgotten" not in {each.name for each in open_meshes()}


def test_a_mesh_that_is_never_used_starts_no_thread() -> None:
    mesh = LocalMesh("idle")

    assert threads_of("idle") == []
    mesh.stop()


def test_a_stopped_mesh_leaves_no_thread(mesh: LocalMesh) -> None:
    mesh.add_agent(Echo())
    mesh.query("echo", "hi")
    threads = threads_of("market")
    mesh.stop()

    assert threads
    assert gone(threads)


@pytest.mark.process
def test_importing_the_names_loads_none_of_them() -> None:
    program = "import sys, ceylon.compat; print('asyncio' in sys.modules, 'ceylon.compat.llm' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 – our own

    assert done.stdout.split() == ["False", "False"]
