"""What the tests of callers share: one model server."""

from collections.abc import Iterator

import pytest

from ceylon.testing.model_server import ModelServer


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    """A server of OpenAI's dialect that echoes; it keeps no records, for many tests share it."""
    with ModelServer(records=False) as server:
        yield server


@pytest.fixture(scope="session")
def model_url(model_server: ModelServer) -> str:
    """Where language models are."""
    return model_server.openai_url
