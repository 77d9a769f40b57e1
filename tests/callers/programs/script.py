"""A plain script: no event loop in sight, every verb blocks. Its argument is where language models are."""

import sys
from functools import partial

from support.callers_blocking import BLOCKING
from support.callers_report import report
from support.callers_stage import blocking_stage


def main(url: str) -> None:
    """Use every verb, and report what came of each."""
    with blocking_stage(url) as stage:
        for verb, use in BLOCKING.items():
            report(verb, partial(use, stage))


if __name__ == "__main__":
    main(*sys.argv[1:])
