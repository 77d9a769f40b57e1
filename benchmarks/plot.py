"""The plot."""

from pathlib import Path

from benchmarks.results import Results

__all__ = ["write"]


def write(file: Path, results: Results) -> None:
    """Draw *results* into *file*."""
