"""What the tests of language-model agents share: a model server, and an environment that names no other."""

from collections.abc import Iterator

import pytest

from ceylon.testing.model_server import ModelServer

VARIABLES = (
    *("OLLAMA_HOST", "OLLAMA_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GROQ_API_KEY"),
    *("CEYLON_MODEL", "CEYLON_DEFAULT_PROVIDER", "CEYLON_LOCAL_THREADS", "CEYLON_LOCAL_SEED"),
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A server that echoes, in OpenAI's language and in Ollama's."""
    with ModelServer() as server:
        yield server
