"""Read `OLLAMA_HOST` the way Ollama's own tools do."""

from typing import Final
from urllib.parse import urlsplit

from ceylon.errors import ModelConfigError

__all__ = ["DEFAULT_HOST", "host_url"]

DEFAULT_HOST: Final = "127.0.0.1"
_PORT: Final = 11434
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 – read, never bound
_CLOUD: Final = "ollama.com"
_SCHEME_PORTS: Final = {"http": 80, "https": 443}


def host_url(host: str) -> str:
    """Return the URL that *host* means: ``0.0.0.0``, ``host``, ``host:port`` and ``:port`` use http and 11434.

    With a scheme the port is that scheme's own (``http://host`` is port 80), and bare ``ollama.com`` is https. A
    server's listening address ``0.0.0.0`` is this machine to a client. Source: ollama's `envconfig.Host`.

    Raises:
        ModelConfigError: it cannot be read as an address.
    """
    scheme, found, rest = host.strip().strip("\"'").rpartition("://")
    if not found:
        scheme = "https" if rest.partition("/")[0] == _CLOUD else "http"
    try:
        parts = urlsplit(f"{scheme}://{_bracketed(rest)}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        sentence = f"cannot read {rest.rpartition('@')[2]!r} as OLLAMA_HOST; write it like 127.0.0.1:11434"
        raise ModelConfigError(sentence) from None
    if port is None:
        port = _SCHEME_PORTS.get(scheme, _PORT) if found or name == _CLOUD else _PORT
    name = _EVERYWHERE.get(name, name)
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}:{port}{parts.path.rstrip('/')}"


def _bracketed(rest: str) -> str:
    """Return *rest* with a bare IPv6 address put in brackets."""
    return f"[{rest}]" if rest.count(":") > 1 and not rest.startswith("[") else rest
