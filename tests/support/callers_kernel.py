"""A Jupyter kernel, driven the way a notebook drives it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import nbformat
from nbclient import NotebookClient

from support.callers_processes import environment

__all__ = ["Kernel", "kernel"]

DEADLINE = 60


class Kernel:
    """Runs cells one after the other, in one process with one namespace."""

    def __init__(self, client: NotebookClient) -> None:
        self._client = client

    def run(self, source: str) -> str:
        """Run a cell; return what it printed. A cell that raises, and any word on standard error, is a failure."""
        cells = self._client.nb.cells
        cells.append(nbformat.v4.new_code_cell(source))  # type: ignore[no-untyped-call]
        cell = self._client.execute_cell(cells[-1], len(cells) - 1)
        words: dict[str, Any] = {"stdout": "", "stderr": ""}
        for output in cell.outputs:
            if output.output_type == "stream":
                words[output.name] += output.text
        assert words["stderr"] == "", words["stderr"]
        return str(words["stdout"])


@contextlib.contextmanager
def kernel(**variables: str) -> Iterator[Kernel]:
    """Start a kernel of this very Python, with some environment variables."""
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=DEADLINE, kernel_name="python3")
    with client.setup_kernel(env={**environment(), **variables}):
        yield Kernel(client)
