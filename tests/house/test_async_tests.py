"""Two async test plugins share the suite: anyio by default, pytest-asyncio where a test asks for it."""

import asyncio

import pytest
import sniffio


async def test_an_unmarked_test_runs_on_both_loops(anyio_backend_name: str) -> None:
    assert sniffio.current_async_library() == anyio_backend_name


@pytest.mark.asyncio
async def test_a_marked_test_runs_once_on_asyncio(request: pytest.FixtureRequest) -> None:
    assert asyncio.current_task() is not None
    assert "anyio_backend" not in request.fixturenames
