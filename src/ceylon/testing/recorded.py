"""A request that the test server got, and whoever makes an answer out of all of it."""

from typing import Any, Protocol, runtime_checkable

import msgspec

from ceylon.testing.saying import Said

__all__ = ["Recorded", "Replier"]


class Recorded(msgspec.Struct, frozen=True):
    """A request the server got."""

    path: str
    headers: dict[str, str]
    body: bytes
    prompt: str

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@runtime_checkable
class Replier(Protocol):
    """Makes an answer out of all of a request, such as `ceylon.testing.obedient.Obedient`."""

    def reply(self, request: Recorded) -> Said:
        """Return the answer."""
        ...
