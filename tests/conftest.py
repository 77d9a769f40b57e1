"""What every test shares."""

import pytest

pytest_plugins = ["pytester", "plugins.async_tests", "plugins.outcomes", "plugins.skips"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both event loops."""
    backend: str = request.param
    return backend
