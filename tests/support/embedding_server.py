"""A server that embeds in the way of each provider, without any model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pytest

from ceylon.models.embedders import resolve_embedder
from ceylon.models.embedding import Embedder
from ceylon.testing.http_server import Connection, HttpRequest, ServerThread

__all__ = ["EmbeddingServer", "embedding_server", "forget_keys"]

_VARIABLES: Final = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST")

JSON = {"content-type": "application/json"}
PATHS = {
    "/v1/embeddings": "openai",
    "/api/embed": "ollama",
    "/v1beta/models/test-embed:batchEmbedContents": "gemini",
}


@contextmanager
def embedding_server() -> "Iterator[EmbeddingServer]":
    """Run one while the block lasts."""
    server = EmbeddingServer()
    with server.thread:
        yield server


def forget_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment hold neither a key nor an address of an embedding service."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)


class EmbeddingServer:
    """Answers each text with its length and a number made of its bytes, or with what was prepared."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.prepared: bytes | None = None
        self.status = 200
        self.thread = ServerThread(self.handle)

    async def handle(self, connection: Connection) -> None:
        while (request := await connection.read_request()) is not None:
            self.requests.append(request)
            body = self.prepared
            if body is None:
                body = answer(PATHS[request.path], msgspec.json.decode(request.body))
            await connection.reply(self.status, body, JSON)

    def embedder(self, provider: str, **options: Any) -> Embedder:
        """Return the embedder of *provider* that asks this server."""
        url = f"{self.thread.url}/v1" if provider == "openai" else self.thread.url
        return resolve_embedder(f"{provider}::test-embed", base_url=url, api_key="sk-canary-4711", options=options)


def answer(dialect: str, body: dict[str, Any]) -> bytes:
    """Return what a server says to *body*."""
    texts = body["input"] if "input" in body else [each["content"]["parts"][0]["text"] for each in body["requests"]]
    vectors = [[float(len(text)), float(len(text.encode()) % 7 + 1)] for text in texts]
    if dialect == "openai":
        backwards = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)][::-1]
        return msgspec.json.encode({"object": "list", "data": backwards, "usage": {"prompt_tokens": 3}})
    if dialect == "ollama":
        return msgspec.json.encode({"model": "test-embed", "embeddings": vectors, "total_duration": 12})
    return msgspec.json.encode({"embeddings": [{"values": vector} for vector in vectors]})
