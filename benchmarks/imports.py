"""How long `import ceylon` takes, beside the libraries it cannot do without; each time in a fresh process.

The bytecode is there already, as an installer leaves it, whatever the environment says of writing it.
"""

import os
import tempfile
from collections.abc import Iterator

from benchmarks.report import Row
from benchmarks.rounds import fresh, median

__all__ = ["measure"]

_TIMED = "import time; began = time.process_time(); import {}; print((time.process_time() - began) * 1000)"


def measure(*, rounds: int) -> Iterator[Row]:
    """Yield the row."""
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(rounds + 1):
            bare.append(float(fresh("-c", _TIMED.format("anyio, msgspec"), environment=environment)))
            ours.append(float(fresh("-c", _TIMED.format("ceylon"), environment=environment)))
    ours, bare = ours[1:], bare[1:]  # the first ones compile
    yield Row(
        measured="import ceylon (CPU)",
        unit="ms",
        ceylon=median(ours),
        beside="import anyio, msgspec",
        bare=median(bare),
        compared=median(ours),
        compared_unit="ms",
        spread=(min(ours), max(ours)),
        at_most=150,
    )
