"""The caller matrix in a Jupyter kernel: cells that await, and cells that block."""

import json
from collections.abc import Iterator

import pytest

from support.callers_expected import EXPECTED
from support.callers_kernel import Kernel, kernel
from support.callers_processes import PROGRAMS

pytestmark = pytest.mark.kernel

SET_UP = """
import json
from ceylon import BlockingMesh, Mesh
from support.callers_awaited import AWAITED
from support.callers_blocking import BLOCKING
from support.callers_stage import Stage, populate, tutor_at

tutor = tutor_at({url!r})
mesh = await Mesh("market").start()
populate(mesh, {url!r})
blocking_mesh = BlockingMesh("market").start()
populate(blocking_mesh, {url!r})
"""
AWAIT = "print(json.dumps(await AWAITED[{verb!r}](Stage(mesh, tutor))))"
BLOCK = "print(json.dumps(BLOCKING[{verb!r}](Stage(blocking_mesh, tutor))))"


@pytest.fixture(scope="module")
def notebook(model_url: str) -> Iterator[Kernel]:
    """A kernel in which some cells have opened a mesh on its loop, and another one beside it."""
    with kernel() as found:
        found.run(SET_UP.format(url=model_url))
        yield found


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", ["notebook"])
def test_cell_that_awaits(caller: str, verb: str, notebook: Kernel) -> None:
    assert json.loads(notebook.run(AWAIT.format(verb=verb))) == EXPECTED[verb]


@pytest.mark.parametrize("verb", [verb for verb in EXPECTED if not verb.endswith("_async")])
@pytest.mark.parametrize("caller", ["notebook"])
def test_cell_that_blocks(caller: str, verb: str, notebook: Kernel) -> None:
    assert json.loads(notebook.run(BLOCK.format(verb=verb))) == EXPECTED[verb]


def test_the_same_cell_runs_three_times(model_url: str) -> None:
    source = (PROGRAMS / "market_cell.py").read_text(encoding="utf-8")
    with kernel(MODEL_URL=model_url) as notebook:
        first, *others = [notebook.run(source) for _ in range(3)]

    assert first.startswith("True hohoho echo: hi ")
    assert others == [first, first]
