"""What every test shares: both event loops, and the one law, which no test has to ask for."""

from collections.abc import Iterator

import hypothesis
import pytest

from ceylon.testing.law import LawWatch
from support.loops import chosen_loops

pytest_plugins = [
    "pytester",
    "ceylon_pytest",
    "plugins.async_tests",
    "plugins.outcomes",
    "plugins.patience",
    "plugins.skips",
    "plugins.slow_callbacks",
    "plugins.steps",
]

# In CI Hypothesis does so by itself: how long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("patient", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(params=chosen_loops("asyncio", "trio"))
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="session")
def law_watch() -> Iterator[LawWatch]:
    """What looks at every mesh of the run; one for all tests, because the default mesh outlives each of them."""
    with LawWatch() as watch:
        yield watch


@pytest.fixture(autouse=True)
def lawful(law_watch: LawWatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which the law was broken at a quiescent point or at a mesh's end, unless it does so on purpose."""
    yield
    found = law_watch.forget()
    if request.node.get_closest_marker("breaks_the_law") is None:
        assert not found, "\n".join(found)
