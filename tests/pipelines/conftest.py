"""What the tests of pipelines share: a mesh on the test's own loop, with the law at its end."""

from collections.abc import AsyncIterator

import pytest

from ceylon import Mesh
from support.law import lawful_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """An open mesh; the law is checked once it has closed."""
    async with lawful_mesh("test") as mesh:
        yield mesh
