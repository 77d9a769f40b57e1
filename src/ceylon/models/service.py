"""A model of a service with a format of its own: what is known of the service is data, a `Host`."""

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from ceylon.errors import ModelConfigError
from ceylon.models.bodies import check_options
from ceylon.models.endpoint import Endpoint, check_url
from ceylon.models.secret import Secret
from ceylon.models.service_session import Dialect, ServiceSession

if TYPE_CHECKING:
    from ceylon.models.http import HttpClient

__all__ = ["Host", "ServiceModel"]


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A service by its facts.

    Attributes:
        provider: What it is called in a model string.
        base_url: Its own address …
        url_variable: … the variable that may name another …
        versions: … and what such an address may end with, although the paths say it.
        keys: The variables its key may be in, the first that is set wins, and the header it then travels in.
        headers: What goes along with every request.
        header_variables: Headers that are sent if a variable is set.
        options: What may be set beside a request's own fields, by the service's names.
        models_path: Where it lists its models.
    """

    provider: str
    base_url: str
    url_variable: str
    keys: Mapping[str, str]
    options: frozenset[str]
    models_path: str
    versions: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    header_variables: Mapping[str, str] = {}


class ServiceModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of a service; key and address come from the environment unless given.

    A key is required only at the service's own address. `options` are the service's own, by its names;
    ``extra_body={...}`` carries what is not known here.
    """

    host: ClassVar[Host]

    model: str
    base_url: str | None = None
    api_key: Secret | None = None
    options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The canonical spelling, ``provider::model``."""
        return f"{self.host.provider}::{self.model}"

    def check(self) -> None:
        """Raise `ModelConfigError` for a wrong address, a missing key or an unknown option."""
        endpoint = self.endpoint()
        if endpoint.key is None and _name_of(endpoint.base_url) == _name_of(self.host.base_url):
            sentence = (
                f"{self.name} needs a key: set {' or '.join(self.host.keys)} in the environment, or pass `api_key=`; "
                "without one, the embedded model 'local::smollm2' answers"
            )
            raise ModelConfigError(sentence)
        self.check_options(self.options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise `ModelConfigError` for an option the service is not known to have."""
        hint = "; what is not listed goes into `extra_body={...}`"
        check_options(self.name, options, self.known_options() | {"extra_body"}, hint)

    def known_options(self) -> frozenset[str]:
        """Return the options there are."""
        return self.host.options

    def endpoint(self) -> Endpoint:
        """Return where the model is served, and with which key."""
        host = self.host
        base_url = (self.base_url or os.environ.get(host.url_variable) or host.base_url).strip().rstrip("/")
        check_url(base_url, source="base_url" if self.base_url else host.url_variable)
        for version in host.versions:
            base_url = base_url.removesuffix(version)
        key, header = self._key()
        variables = host.header_variables.items()
        headers = {name: value for name, variable in variables if (value := os.environ.get(variable, "").strip())}
        advice = "Look at the network and `base_url`, or use the embedded model 'local::smollm2', which needs none."
        return Endpoint(
            model=self.name,
            base_url=base_url,
            advice=advice,
            key=key,
            key_header=header,
            extra_headers={**host.headers, **headers, **self.own_headers()},
        )

    @abstractmethod
    def dialect(self) -> Dialect:
        """Return how the service writes and reads."""

    async def open(self, client: "HttpClient") -> ServiceSession:
        """Return a session; nothing is sent before the first request."""
        self.check()
        return ServiceSession(self, self.dialect(), client)

    def own_headers(self) -> dict[str, str]:
        """Return the headers that an option asks for."""
        return {}

    def _key(self) -> tuple[Secret | None, str]:
        """Return the key, and the header for it."""
        header = next(iter(self.host.keys.values()))
        if self.api_key is not None:
            self.api_key.check("api_key")
            return self.api_key, header
        for variable, its_header in self.host.keys.items():
            if (key := Secret.of(os.environ.get(variable))) is not None:
                key.check(variable)
                return key, its_header
        return None, header


def _name_of(url: str) -> str | None:
    return urlsplit(url).hostname
