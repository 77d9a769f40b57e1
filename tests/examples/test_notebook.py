"""`examples/demo_notebook.ipynb` in a real kernel, from top to bottom, and once more in the same one."""

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support.examples import EXAMPLES, environment

NOTEBOOK = EXAMPLES / "demo_notebook.ipynb"


@pytest.fixture
def notebook() -> Any:
    """The notebook as it is in the repository."""
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words_of(cell: Any) -> str:
    """Return what a cell printed. A result, a warning or an error is none of it."""
    assert {output.get("name") for output in cell.outputs} <= {"stdout"}, cell.outputs
    return "".join(output.text for output in cell.outputs)


def test_it_is_committed_without_outputs(notebook: Any) -> None:
    assert [cell.outputs for cell in code_of(notebook)] == [[] for _ in code_of(notebook)]
    assert {cell.execution_count for cell in code_of(notebook)} == {None}


@pytest.mark.kernel
@pytest.mark.model
@pytest.mark.timeout(300)
def test_every_cell_runs_twice_in_one_kernel(notebook: Any) -> None:
    cells = list(enumerate(notebook.cells))
    client = NotebookClient(notebook, timeout=240, kernel_name="python3")
    with client.setup_kernel(env=environment()):
        for at, cell in cells + cells:
            client.execute_cell(cell, at)

    silent = [cell.source.splitlines()[0] for cell in code_of(notebook) if not words_of(cell).strip()]
    assert silent == ["import asyncio", 'class Order(Message["Receipt"]):']
    assert words_of(code_of(notebook)[-1]) == "Receipt(total=5.0)\n['assam', 'sencha']\n"
