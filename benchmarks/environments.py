"""One environment per contender under `.venvs/bench`, kept between runs and remade when its pins change."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders import Contender

__all__ = ["ROOT", "Environment", "MissingEnvironmentError", "default_python", "environment"]

ROOT = Path(__file__).resolve().parent.parent
_PLACE = ROOT / ".venvs" / "bench"
_CONSTRAINTS = ROOT / "constraints.txt"


class Environment(NamedTuple):
    """A Python that has a contender's library; `direct` is what was asked for, of all that is installed."""

    python: str
    version: str
    direct: tuple[str, ...]
    installed: tuple[str, ...]


class MissingEnvironmentError(Exception):
    """There is no environment for a contender, and none could or should be made."""


def default_python() -> str:
    """Return the version, as "3.11", of the Python that runs this."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def environment(contender: Contender, version: str, *, install: bool) -> Environment:
    """Return the environment of *contender* for Python *version*; make it if *install* and there is none.

    What runs this may stand in for the project's own environment where none is to be made. It is not as good: test
    tools that hook into the start of a process make every one of them slower and larger.

    Raises:
        MissingEnvironmentError: there is none; its words say why.
    """
    requires = _home() if contender.home else contender.requires
    name = "home" if contender.home else contender.name
    pins = [version, *requires, _CONSTRAINTS.read_text(encoding="utf-8") if contender.home else ""]
    marked = hashlib.sha256("\n".join(pins).encode()).hexdigest()[:10]
    place = _PLACE / f"{name}-{version}-{marked}"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        if contender.home and version == default_python() and not install:
            return _describe(sys.executable, version, requires)
        if not install:
            message = f"{contender.name}: its environment is not there yet (`--rivals` makes it)"
            raise MissingEnvironmentError(message)
        _make(place, name, version, requires)
        if contender.own_openssl:
            _use_own_openssl(place)
        (place / "complete").touch()
    return _describe(str(python), version, requires)


def _describe(python: str, version: str, requires: tuple[str, ...]) -> Environment:
    installed = _installed(python)
    names = {_bare(requirement) for requirement in requires}
    direct = tuple(each for each in installed if _bare(each) in names)
    return Environment(python, version, direct, installed)


def _bare(requirement: str) -> str:
    """Return the name in *requirement*, as the index writes it."""
    return re.split(r"[^\w.\-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _make(place: Path, name: str, version: str, requires: tuple[str, ...]) -> None:
    interpreter = _interpreter(version)
    if interpreter is None:
        message = f"{name}: there is no Python {version} on this machine"
        raise MissingEnvironmentError(message)
    print(f"making an environment for {name} (Python {version})", flush=True)
    for old in _PLACE.glob(f"{name}-{version}-*"):
        shutil.rmtree(old)
    constraint = ["--constraint", str(_CONSTRAINTS)] if name == "home" else []
    python = str(place / "bin" / "python")
    for command in (
        [interpreter, "-m", "venv", "--clear", str(place)],
        [python, "-m", "pip", "install", "--quiet", "--no-input", *constraint, *requires],
    ):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 – our own
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["without a word"])[-1]
            message = f"{name}: its environment could not be made: {last}"
            raise MissingEnvironmentError(message)


def _use_own_openssl(place: Path) -> None:
    """Let links to this machine's OpenSSL take the place of the one that a wheel brought along."""
    for bundled in place.glob("lib/python*/site-packages/*.libs/lib*.so.3"):
        own = Path("/usr/lib") / f"{platform.machine()}-linux-gnu" / f"{bundled.name.partition('-')[0]}.so.3"
        if own.exists():
            bundled.unlink()
            bundled.symlink_to(own)


def _home() -> tuple[str, ...]:
    """Return what the project itself requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return (*project["dependencies"], *project["optional-dependencies"]["speed"])


def _interpreter(version: str) -> str | None:
    for candidate in _candidates(version):
        asked = [candidate, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
        try:
            printed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout  # noqa: S603 – a Python
        except (OSError, subprocess.CalledProcessError):
            continue
        if printed.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    """Yield where a Python may be; version managers keep what they do not show on the PATH."""
    yield f"python{version}"
    yield str(getattr(sys, "_base_executable", sys.executable))
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    uv = Path("~/.local/share/uv/python").expanduser()
    beside = Path(sys.base_prefix).parent
    for found in (pyenv.glob(f"{version}.*"), beside.glob(f"{version}.*"), uv.glob(f"cpython-{version}*")):
        yield from (str(path / "bin" / "python") for path in found)


def _installed(python: str) -> tuple[str, ...]:
    asked = "import importlib.metadata as m; [print(d.metadata['Name'] + '==' + d.version) for d in m.distributions()]"
    printed = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout  # noqa: S603 – as above
    return tuple(sorted({line for line in printed.splitlines() if re.fullmatch(r"[\w.\-]+==\S+", line)}, key=str.lower))
