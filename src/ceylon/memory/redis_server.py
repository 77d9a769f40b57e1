"""A Redis server, spoken to by the blocking client in a thread of its own: so it serves asyncio and trio alike."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread

from ceylon.errors import StoreUnavailableError
from ceylon.memory.own_thread import OwnThread

__all__ = ["Client", "RedisServer"]

Client: TypeAlias = Any
"""redis-py's client, or a pipeline of it; its own types leave open what most verbs return."""

_Result = TypeVar("_Result")

_SECONDS: Final = 5.0  # for an answer; a server that takes longer is not there
_INSTALL: Final = 'Install the client, in the clone: pip install -e ".[redis]".'
_ADVICE: Final = "Start a server, or correct the address; it is written like redis://127.0.0.1:6379/0."


class RedisServer:
    """One connection to the server at *url*; it is made anew when it breaks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread: OwnThread[Client] = OwnThread("ceylon redis", self._opener(), _close)

    @property
    def address(self) -> str:
        """The server, without the password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def run(self, function: Callable[[Client], _Result]) -> _Result:
        """Return what *function* does with the client.

        Raises:
            StoreUnavailableError: nobody answers there, or the client is not installed.
        """
        return await self._thread.run(lambda client: self._speak(client, function))

    async def aclose(self) -> None:
        """Close the connection; it is opened again when it is used again."""
        await anyio.to_thread.run_sync(self._thread.stop)

    def _opener(self) -> Callable[[], Client]:
        url, address = self._url, self.address

        def open_client() -> Client:
            if find_spec("redis") is None:
                sentence = "redis-py is not installed"
                raise StoreUnavailableError(address, sentence, _INSTALL)
            __import__("redis")
            try:
                client: Client = sys.modules["redis"].Redis.from_url(
                    url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
                )
            except ValueError as error:
                raise StoreUnavailableError(address, str(error), _ADVICE) from None
            return client

        return open_client

    def _speak(self, client: Client, function: Callable[[Client], _Result]) -> _Result:
        kind: type[Exception] = sys.modules["redis"].RedisError
        try:
            return function(client)
        except kind as error:
            raise StoreUnavailableError(self.address, str(error), _ADVICE) from error


def _close(client: Client) -> None:
    client.close()
