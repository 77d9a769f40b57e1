"""The adapters are imported where nobody waits for it, also by those who come while that is under way."""

import subprocess
import sys

PROGRAM = """
import importlib.util, sys, threading
import anyio
from ceylon.agents.llm_settings import LlmSettings
from ceylon.agents.setup import Setup

LATE = "ceylon.agents.sessions"
has_begun, may_end, was_let_end = threading.Event(), threading.Event(), []

class Late:
    def find_spec(self, name, path=None, target=None):
        if name != LATE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def late(module):
            has_begun.set()
            was_let_end.append(may_end.wait(5))  # in a thread: an import from a slow disk
            execute(module)
        spec.loader.exec_module = late
        return spec

sys.meta_path.insert(0, Late())
assert LATE not in sys.modules

async def main():
    async with anyio.create_task_group() as tasks:
        async def load():
            await Setup(LlmSettings(model="ollama::m")).load()
            importlib.import_module(LATE)  # as a turn does next, on the loop
        tasks.start_soon(load)
        while not has_begun.is_set():
            await anyio.sleep(0.001)
        tasks.start_soon(load)
        for _ in range(10):  # the second one is as far as it gets
            await anyio.sleep(0.001)
        may_end.set()  # by the loop, which nobody holds up
    print(was_let_end)

anyio.run(main)
"""


def test_a_query_that_comes_while_the_adapters_are_imported_does_not_hold_up_the_loop() -> None:
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 – our own

    assert ended.stdout == "[True]\n"
