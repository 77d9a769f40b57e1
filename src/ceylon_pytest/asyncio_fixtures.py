"""The fixture `mesh` for tests that pytest-asyncio runs: one for each scope that the test's loop may have."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from ceylon import Mesh

__all__: list[str] = []

_SCOPES: Final = ("function", "class", "module", "package", "session")


def _fixture_on(scope: Any) -> Any:
    """Return the fixture for tests whose loop lives as long as *scope*."""

    @pytest_asyncio.fixture(loop_scope=scope, name=f"_ceylon_mesh_asyncio_{scope}")
    async def mesh(request: pytest.FixtureRequest) -> "AsyncIterator[Mesh]":
        from ceylon.testing.fixtures import checked_mesh  # noqa: PLC0415 – only a test that asks for it pays

        async with checked_mesh(checks_law=request.node.get_closest_marker("breaks_the_law") is None) as mesh:
            yield mesh

    return mesh


on_function, on_class, on_module, on_package, on_session = map(_fixture_on, _SCOPES)
