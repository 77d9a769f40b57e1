"""What one message may cost in bytecodes, on each Python: `house/costs.json`, and how to write that anew.

`scripts/costs --write` does it on every Python there is, `python -m support.costs --write` in `tests/` on one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

__all__ = ["VERSION", "Costs", "compare", "count", "main", "read_table"]

VERSION: Final = "{}.{}".format(*sys.version_info)
_TESTS: Final = Path(__file__).parents[1]
_TABLE: Final = _TESTS / "house" / "costs.json"
_REWRITE: Final = "`scripts/costs --write` writes what it is now"
_MAY_RISE: Final = {"bytecodes": 0.02, "calls": 0.01, "elsewhere": 0.25}
"""A call more in an ask shows, a line or two do not; what is elsewhere changes with a patch release of Python."""
_MAY_FALL: Final = {"bytecodes": 0.10, "calls": 0.10, "elsewhere": 0.25}
_NOTHING: Final = 0.1
_HIDDEN: Final = ("COV", "PYTEST", "PYTHONDEV", "PYTHONASYNCIO", "PYTHONTRACE", "PYTHONHASHSEED")
"""Variables that let something else run in the counted process, or otherwise."""

Costs = dict[str, dict[str, float]]


def count(*options: str) -> Any:
    """Run the counted program in a process of its own; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    command = [sys.executable, "-m", "support.costs_program", *options]
    done = subprocess.run(command, cwd=_TESTS, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603 – our own
    return json.loads(done.stdout)


def read_table() -> dict[str, Costs]:
    """Return what is allowed, by version of Python."""
    table: dict[str, Costs] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return table


def compare(allowed: Costs, counted: Costs) -> list[str]:
    """Say which costs have grown, and which have fallen so far that the table holds nothing back any more."""
    if allowed.keys() != counted.keys():
        return [f"the table is about {sorted(allowed)}, counted were {sorted(counted)}; {_REWRITE}"]
    pairs = [(name, kind, allowed[name][kind], value) for name in counted for kind, value in counted[name].items()]
    return [found for pair in pairs if (found := _judge(*pair))]


def _judge(name: str, kind: str, most: float, value: float) -> str:
    change = f"{name}: {value:g} {kind}, {most:g} allowed ({value - most:+.2f}, {value / (most or 1) - 1:+.1%})"
    if value > most * (1 + _MAY_RISE[kind]) + _NOTHING:
        return f"{change}: it costs more than it did"
    if value < most * (1 - _MAY_FALL[kind]) - _NOTHING:
        return f"{change}: it costs less, let the table hold that; {_REWRITE}"
    return ""


def main(arguments: list[str]) -> None:
    """Print the figures of this Python, with `--functions NAME` by function; `--write` puts them into the table."""
    if "--functions" in arguments:
        print(json.dumps(count(*arguments), indent=2))  # noqa: T201 – what it is for
        return
    counted: Costs = count()
    for name, figures in counted.items():
        print(f"{VERSION} {name:26}", *(f"{value:9.2f} {kind}" for kind, value in figures.items()))  # noqa: T201 – as above
    if "--write" in arguments:
        table = dict(sorted({**read_table(), VERSION: counted}.items()))
        _TABLE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
