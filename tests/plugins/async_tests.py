"""Let anyio run every async test, except those marked for pytest-asyncio.

anyio's own auto mode would take a test marked `asyncio` as well; here each test has one runner.
"""

import inspect

import pytest

__all__ = ["pytest_pycollect_makeitem"]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Mark *obj* for anyio before anyio's own plugin looks at it."""
    if not collector.istestfunction(obj, name) or collector.get_closest_marker("asyncio"):
        return
    function = getattr(getattr(obj, "hypothesis", None), "inner_test", obj)  # what `@given` wraps
    marked = any(mark.name == "asyncio" for mark in getattr(obj, "pytestmark", ()))
    if inspect.iscoroutinefunction(function) and not marked:
        pytest.mark.anyio(obj)
