"""A web application with a mesh: the part of docs/guides/async.md about web handlers. Needs starlette.

Run by itself it tries the application without a server.
"""
# ruff: noqa: ARG001, D103, I001 – a snippet is documented by the page it stands in

import asyncio

import httpx

# --8<-- [start:web]
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from ceylon import LlmAgent, Mesh

tutor = LlmAgent("tutor", "auto", max_tokens=16)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with Mesh("web") as mesh:
        mesh.add(tutor)
        yield


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await tutor.send_message_async(request.query_params["q"]))


async def story(request: Request) -> StreamingResponse:
    return StreamingResponse(tutor.stream("Tell me a story."), media_type="text/plain")


routes = [Route("/answer", answer), Route("/story", story)]
app = Starlette(routes=routes, lifespan=lifespan)
# --8<-- [end:web]


async def main() -> None:
    """Ask both routes."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://web") as client,
    ):
        print((await client.get("/answer", params={"q": "What is tea?"}, timeout=120)).text)
        print((await client.get("/story", timeout=120)).text)


if __name__ == "__main__":
    asyncio.run(main())
