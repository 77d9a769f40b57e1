"""A program that blocks inside its running loop: it works, and is told once that this holds the loop up.

That it could drive notebooks, and so has loaded what belongs to one, does not make it a notebook.
"""

import asyncio
import sys
import warnings

import ipykernel  # noqa: F401

from support.callers_report import report
from support.callers_stage import tutor_at


async def main(url: str) -> None:
    """Ask three times, the wrong way."""
    asyncio.get_running_loop().slow_callback_duration = 60.0  # asyncio's own debug mode would say so too
    tutor = tutor_at(url)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answers = [tutor.send_message("hi") for _ in range(3)]
    report("answers", lambda: answers)
    report("warnings", lambda: [f"{warning.filename}: {warning.message}" for warning in caught])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
