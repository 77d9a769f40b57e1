"""The caller matrix in a web service: Starlette under uvicorn, in a process of its own."""

from collections.abc import Iterator

import httpx
import pytest

from ceylon.testing.model_server import Fault, ModelServer
from support.callers_expected import EXPECTED
from support.callers_processes import serving

pytestmark = pytest.mark.process

DEADLINE = 60.0


@pytest.fixture(scope="module")
def web(model_url: str) -> Iterator[httpx.Client]:
    """A client of the service."""
    with serving("web.py", model_url) as url, httpx.Client(base_url=url, timeout=DEADLINE) as client:
        yield client


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", ["web_handler"])
def test_handler_that_awaits(caller: str, verb: str, web: httpx.Client) -> None:
    assert web.get(f"/awaits/{verb}").json() == EXPECTED[verb]


@pytest.mark.parametrize("verb", EXPECTED)
@pytest.mark.parametrize("caller", ["web_handler"])
def test_handler_that_blocks(caller: str, verb: str, web: httpx.Client) -> None:
    assert web.get(f"/blocks/{verb}").json() == EXPECTED[verb]


@pytest.mark.parametrize("path", ["/story", "/bare_story"])
def test_a_client_that_leaves_mid_stream_closes_the_connection_to_the_model(path: str) -> None:
    with (
        ModelServer() as model_server,
        serving("web.py", model_server.openai_url) as url,
        httpx.Client(base_url=url, timeout=DEADLINE) as client,
    ):
        model_server.fail(Fault(hold_after=3))
        with client.stream("GET", path) as response:
            texts = response.iter_text()  # kept: httpx closes the connection when it is collected
            first = next(texts)

            assert "echo: once upon a time".startswith(first)
            assert (model_server.in_flight, model_server.clients_left) == (1, 0)

        model_server.wait_until(lambda: (model_server.in_flight, model_server.clients_left) == (0, 1))
        model_server.release()
        assert client.get(path).text == "echo: once upon a time"
