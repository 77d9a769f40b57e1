"""The port every language model is behind: a `Model` says which, a `Session` talks to it."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from ceylon.models.turns import Part, Reply, Request

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["Abilities", "Model", "Session"]


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's server does by itself; what it does not is done for it by `ceylon.models.adapting`.

    Attributes:
        tools: Whether it takes tools and answers with calls. If not, a schema stands for them.
        tool_choice: Whether it can be made to call.
        output: How it keeps an answer to a schema: ``"schema"`` by itself, ``"tool"`` as the arguments of a tool that
            it is made to call, ``"prompt"`` by being told.
        output_with_tools: Whether it takes tools and a schema in one request.
        stop: Whether it takes texts that end the answer.
    """

    tools: bool = True
    tool_choice: bool = True
    output: Literal["schema", "tool", "prompt"] = "schema"
    output_with_tools: bool = True
    stop: bool = True


class Session(Protocol):
    """A model in use on one event loop; many requests may be under way at once."""

    @property
    def abilities(self) -> Abilities:
        """What the server does by itself."""
        ...

    async def complete(self, request: Request) -> Reply:
        """Return the model's whole answer.

        Raises:
            ModelError: whatever went wrong, as one of its kinds.
        """
        ...

    def stream(self, request: Request) -> AsyncGenerator[Part, None]:
        """Yield the answer as it comes; the last part is a `ReplyPart`, and only then is the answer complete.

        Closing the iterator early (`aclose`) closes the connection, so that the server stops generating. No scope,
        timeout or task group is open while it yields: behind a fallback or a hedge, the first part is taken within
        another scope than the rest, and perhaps by another task.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the session holds; the shared `HttpClient` is not its own."""
        ...


@runtime_checkable
class Model(Protocol):
    """Which model, as a value: no connection, no loop, safe to share and to keep."""

    @property
    def name(self) -> str:
        """The canonical spelling, ``provider::model``."""
        ...

    def check(self) -> None:
        """Raise `ModelConfigError` for what is known to be wrong before the first request (a missing key)."""
        ...

    async def open(self, client: "HttpClient") -> Session:
        """Return a session on the running loop, over the mesh's one HTTP client.

        Raises:
            ModelUnavailableError: nothing to talk to (an engine that is not installed).
        """
        ...
