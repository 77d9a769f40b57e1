"""What the tests of `ceylon.compat` share."""

from collections.abc import Iterator

import pytest

from ceylon.compat import LocalMesh


@pytest.fixture
def mesh() -> Iterator[LocalMesh]:
    """Give a mesh that is closed after the test; the law is checked at its end."""
    made = LocalMesh("market")
    yield made
    made.stop()
