"""Where a model's requests go, and what its errors may say about it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from ceylon.errors import ModelConfigError
from ceylon.models.secret import Secret, redact

__all__ = ["Endpoint", "check_url"]

_BEARER: Final = "authorization"  # the one header that says of what kind its key is
_JSON: Final = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "ceylon"}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A server's address, the key to it and its header, and the sentence that helps when nobody answers there."""

    model: str
    base_url: str
    advice: str
    key: Secret | None = None
    key_header: str = _BEARER
    extra_headers: Mapping[str, str] = {}

    def url(self, path: str) -> str:
        """Return the full URL of *path* below the base."""
        return f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"

    @property
    def address(self) -> str:
        """The base URL for human eyes: no user, no password, no query."""
        parts = urlsplit(self.base_url)
        return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()

    def headers(self) -> dict[str, str]:
        """Return the headers of a request, the key among them: not to be logged."""
        headers = {**_JSON, **self.extra_headers}
        if self.key is not None:
            key = self.key.reveal()
            headers[self.key_header] = f"Bearer {key}" if self.key_header == _BEARER else key
        return headers


def check_url(url: str, *, source: str) -> None:
    """Raise `ModelConfigError` unless *url* is an http(s) address; *source* says where it was written."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        shown = redact(url.rpartition("@")[2])
        sentence = f"{source} is {shown!r}, which is no address; write it like http://127.0.0.1:8000/v1"
        raise ModelConfigError(sentence)
