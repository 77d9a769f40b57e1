"""The adapters are imported where nobody waits for it, also by those who come while that is under way."""

import subprocess
import sys

PROGRAM = """
import importlib.util, sys, time
import anyio
from ceylon.agents.llm_settings import LlmSettings
from ceylon.agents.setup import Setup

LATE = "ceylon.agents.sessions"

class Late:
    def find_spec(self, name, path=None, target=None):
        if name != LATE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def late(module):
            time.sleep(0.6)  # in a thread: an import from a slow disk
            execute(module)
        spec.loader.exec_module = late
        return spec

sys.meta_path.insert(0, Late())
assert LATE not in sys.modules

async def main():
    gap, last = 0.0, time.monotonic()
    async with anyio.create_task_group() as tasks:
        async def load():
            await Setup(LlmSettings(model="ollama::m")).load()
            loading.pop()
        loading = [1, 1]
        tasks.start_soon(load)
        await anyio.sleep(0.1)
        tasks.start_soon(load)
        last = time.monotonic()
        while loading:
            await anyio.sleep(0.01)
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
    print(gap)

anyio.run(main)
"""


def test_a_query_that_comes_while_the_adapters_are_imported_does_not_hold_up_the_loop() -> None:
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 – our own

    assert float(ended.stdout) < 0.35
