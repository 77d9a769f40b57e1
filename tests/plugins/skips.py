"""Fail a CI run in which a test was skipped (or failed as expected) that `tests/allowed_skips.txt` does not list.

A line there is `nodeid — reason`; a node id without its `[parameters]` stands for all of them. Where the environment
variable `CI` is empty skipping is free: a laptop may lack an engine.
"""

import os
from pathlib import Path

import pytest

__all__ = ["SkipPolicy", "pytest_configure"]

SEPARATOR = " — "


def pytest_configure(config: pytest.Config) -> None:
    """Apply the policy once: in CI, and in the process that reports (not in a worker of xdist)."""
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        path = config.rootpath / "tests" / "allowed_skips.txt"
        config.pluginmanager.register(SkipPolicy(read_allowed(path)), "skip-policy")


def read_allowed(path: Path) -> frozenset[str]:
    """Read the node ids that may be skipped; each needs its reason.

    Raises:
        pytest.UsageError: a line has no reason.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    allowed = set[str]()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        nodeid, separator, reason = line.partition(SEPARATOR)
        if not separator or not reason.strip():
            sentence = f"{path.name}: write `nodeid{SEPARATOR}reason`, not {line!r}"
            raise pytest.UsageError(sentence)
        allowed.add(nodeid.strip())
    return frozenset(allowed)


class SkipPolicy:
    """Collects what was skipped and turns the run red for what is not *allowed*."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self._skipped = set[str]()

    @property
    def unlisted(self) -> list[str]:
        """The node ids that were skipped and are not on the list."""
        return sorted(nodeid for nodeid in self._skipped if not self._is_allowed(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped or expectedly failing test."""
        if report.skipped:
            self._skipped.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that skipped itself."""
        if report.skipped:
            self._skipped.add(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a session that would have passed."""
        if self.unlisted and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the offenders, ready to be copied into the list."""
        if self.unlisted:
            terminalreporter.section("skipped in CI, but not in tests/allowed_skips.txt", red=True)
            for nodeid in self.unlisted:
                terminalreporter.line(f"{nodeid}{SEPARATOR}…", red=True)

    def _is_allowed(self, nodeid: str) -> bool:
        return nodeid in self._allowed or nodeid.partition("[")[0] in self._allowed
