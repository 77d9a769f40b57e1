"""One client: many requests, few connections, none left behind."""

import anyio
import pytest

from ceylon.errors import ModelConfigError, ModelUnavailableError
from ceylon.models.connection import Connection
from ceylon.models.endpoint import Endpoint
from ceylon.models.http import HttpClient
from ceylon.models.pool import Pool
from ceylon.models.resolve import resolve
from ceylon.testing.model_server import Fault, ModelServer
from support.models import Caller, question

pytestmark = pytest.mark.anyio


async def test_a_connection_is_kept_for_the_next_question(caller: Caller) -> None:
    for _ in range(5):
        await caller.ask()

    assert caller.server.connections == 1
    assert repr(caller.client) == "<HttpClient <Pool 0 busy, 1 idle>>"


async def test_a_hundred_questions_are_in_flight_at_once(caller: Caller) -> None:
    caller.server.hold()

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(caller.ask, f"question {number}")
        await caller.server.until(lambda: caller.server.in_flight == 100)
        caller.server.release()

    assert caller.server.most_in_flight == 100
    assert caller.server.answered == 100
    assert len({request.prompt for request in caller.server.requests}) == 100


async def test_a_connection_the_server_gives_up_is_replaced(caller: Caller) -> None:
    caller.server.fail(Fault(headers={"connection": "close"}))

    for _ in range(3):
        assert (await caller.ask()).text == "echo: hi"

    assert caller.server.connections == 2


async def test_a_kept_connection_that_ends_as_it_is_used_again_costs_no_question(caller: Caller) -> None:
    await caller.ask()
    caller.server.fail(
        Fault(raw=b"")
    )  # reads the question, and closes without a byte, as a server tired of waiting does

    assert (await caller.ask()).text == "echo: hi"

    assert caller.server.connections == 2


async def test_a_new_connection_that_ends_without_an_answer_is_an_error(caller: Caller) -> None:
    caller.server.fail(Fault(raw=b""))

    with pytest.raises(ModelUnavailableError):
        await caller.ask()

    assert caller.server.connections == 1


async def test_closing_the_client_closes_every_connection(
    server: ModelServer, anyio_backend: str, connection: type[Connection]
) -> None:
    async with HttpClient(transport=Pool(connection=connection)) as client:
        session = await resolve("openai::test-model", base_url=server.openai_url).open(client)
        await session.complete(question())
        server.hold()
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(Exception, match="closed"):
                    await session.complete(question())

            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await server.until(lambda: server.in_flight == 2)
            await client.aclose()

    assert repr(client) == "<HttpClient <Pool 0 busy, 0 idle>>"
    await server.until(lambda: server.clients_left == 2)


async def test_an_impossible_address_is_a_configuration_error(client: HttpClient) -> None:
    endpoint = Endpoint(model="m", base_url="http://xn--/v1", advice="")

    with pytest.raises(ModelConfigError, match="no address"):
        await client.get_json(endpoint, "/models", timeout=1)


async def test_a_transport_can_be_given(anyio_backend: str) -> None:
    import httpx  # noqa: PLC0415 – the one test that needs it

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"path": request.url.path})

    async with HttpClient(transport=httpx.MockTransport(answer)) as client:
        endpoint = Endpoint(model="m", base_url="http://box/v1", advice="")

        assert await client.get_json(endpoint, "models", timeout=60) == b'{"path":"/v1/models"}'
