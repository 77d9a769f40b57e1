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

_PROGRAM = """
import sys, tempfile, threading, time
from ceylon.compat import Agent, LocalMesh

class Late(Agent):
    def on_message(self, message, context=None):
        time.sleep(0.2)
        print("late", message, flush=True)

class AsyncLate(Agent):
    async def on_message(self, message, context=None):
        import anyio
        await anyio.sleep(0.2)
        print("async", message, flush=True)

mesh = LocalMesh("market")
mesh.add_agent(Late("late"))
mesh.add_agent(AsyncLate("async"))
mesh.start()
for name in ("late", "async"):
    mesh.send_to(name, "message")
print("end", flush=True)
"""


@pytest.mark.process
def test_a_program_that_ends_has_its_messages_handled_and_says_nothing_else(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)

    done = subprocess.run(  # noqa: S603 – our own program
        [sys.executable, "-W", "error", "-X", "dev", str(program)],
        env={**environment(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["async message", "end", "late message"]
    assert [each.name for each in tmp_path.iterdir()] == ["program.py"]


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
