"""A web service: handlers that await, handlers that block, and answers that are streamed. Run by uvicorn.

Its argument is where language models are. It writes its own URL first.
"""

import contextlib
import socket
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ceylon import Mesh
from support.callers_awaited import AWAITED
from support.callers_blocking import BLOCKING
from support.callers_stage import Stage, populate, tutor_at

MODEL_URL = sys.argv[1]

tutor = tutor_at(MODEL_URL)  # at import, as applications do: no loop runs yet
mesh = Mesh("market")


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep the mesh open as long as the service is up."""
    await mesh.start()
    populate(mesh, MODEL_URL)
    yield
    await mesh.stop()


async def awaits(request: Request) -> Response:
    """Use a verb on the service's loop."""
    return JSONResponse(await AWAITED[request.path_params["verb"]](Stage(mesh, tutor)))


def blocks(request: Request) -> Response:
    """Use a verb in one of the service's worker threads."""
    return JSONResponse(BLOCKING[request.path_params["verb"]](Stage(mesh.blocking, tutor)))


async def story(request: Request) -> Response:
    """Stream an answer, and stop the model if the client leaves."""

    async def deltas() -> AsyncIterator[str]:
        async with tutor.stream("once upon a time") as answer:
            async for delta in answer:
                yield delta

    return StreamingResponse(deltas())


async def bare_story(request: Request) -> Response:
    """Do the same the short way."""
    return StreamingResponse(tutor.stream("once upon a time"))


app = Starlette(
    routes=[
        Route("/awaits/{verb}", awaits),
        Route("/blocks/{verb}", blocks),
        Route("/story", story),
        Route("/bare_story", bare_story),
    ],
    lifespan=lifespan,
)


def main() -> None:
    """Serve on any free port until told to end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


if __name__ == "__main__":
    main()
