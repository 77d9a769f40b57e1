"""How a program tells the test what came of each verb: a line of JSON each, on standard output."""

import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["read_reports", "report", "report_async"]


def report(name: str, use: Callable[[], Any]) -> None:
    """Write what *use* returns, or what it raises."""
    try:
        value = use()
    except Exception:  # noqa: BLE001 – the test shows it
        value = traceback.format_exc()
    _write(name, value)


async def report_async(name: str, use: Awaitable[Any]) -> None:
    """Write what comes of awaiting *use*."""
    try:
        value = await use
    except Exception:  # noqa: BLE001 – the test shows it
        value = traceback.format_exc()
    _write(name, value)


def _write(name: str, value: Any) -> None:
    sys.stdout.write(json.dumps({"name": name, "value": value}) + "\n")
    sys.stdout.flush()


def read_reports(output: str) -> dict[str, Any]:
    """Return what was written, by name."""
    lines = [json.loads(line) for line in output.splitlines()]
    return {line["name"]: line["value"] for line in lines}
