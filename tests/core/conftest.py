"""What the tests of the core share: every event loop, a mesh on it, and the law at the mesh's end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ceylon import Mesh
from support.law import lawful_mesh
from support.loops import chosen_loops


@pytest.fixture(params=chosen_loops("asyncio", "trio", "uvloop"))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run each async test of the core on every event loop."""
    return request.param


@pytest.fixture
async def mesh(anyio_backend: Any) -> AsyncIterator[Mesh]:
    """An open mesh on the test's own loop; the law is checked once it has closed."""
    async with lawful_mesh("test") as mesh:
        yield mesh
