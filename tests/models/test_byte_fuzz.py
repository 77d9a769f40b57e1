"""Bytes at random, and gadgets that other formats fell for: declared errors only, and nothing runs because of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from support import byte_fuzz
from support.examples import ROOT

pytestmark = pytest.mark.process


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer as a process of its own: an audit hook is never taken back."""
    program = Path(byte_fuzz.__file__)
    return subprocess.run(  # noqa: S603 – our own script
        [sys.executable, str(program), *arguments],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=100,
    )


def test_bytes_at_random_raise_declared_errors_and_make_nothing_happen() -> None:
    done = run("--inputs", "150")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("forbidden events 0") == len(byte_fuzz.TARGETS)


def test_a_reader_that_compiles_what_it_reads_is_found() -> None:
    done = run("--inputs", "3", "--target", "sabotage")

    assert done.returncode == 1
    assert "forbidden events 3" in done.stdout
