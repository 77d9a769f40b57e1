"""Remember how every test ended, for the tests that judge the run itself: those that ask for `outcomes`.

They run after all others, in whatever order those are. Where the tests are spread over processes (xdist) none of them
knows of the others; then the process that reports judges `ASYNC_STATUS.md` at the end.
"""

import pytest

from support.callers_status import STATUS, complaints, read_status

__all__ = ["Outcomes", "outcomes", "pytest_configure"]

_KEY = pytest.StashKey["Outcomes"]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to listen."""
    config.stash[_KEY] = Outcomes()
    config.pluginmanager.register(config.stash[_KEY], "outcomes")


@pytest.fixture
def outcomes(pytestconfig: pytest.Config) -> "Outcomes":
    """How the tests before this one ended."""
    return pytestconfig.stash[_KEY]


class Outcomes:
    """Node ids of the tests that were to run, with what became of them."""

    def __init__(self) -> None:
        self.by_nodeid: dict[str, str] = {}
        self._complaints: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the tests that judge at the end."""
        items.sort(key=lambda item: "outcomes" in getattr(item, "fixturenames", ()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test's set-up, call or tear-down ended; the worst of them counts."""
        if report.outcome != "passed" or report.when == "teardown":
            self.by_nodeid.setdefault(report.nodeid, report.outcome)
        if report.failed:
            self.by_nodeid[report.nodeid] = "failed"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge a run that was spread over processes."""
        if session.config.pluginmanager.hasplugin("dsession"):
            self._complaints = complaints(read_status(STATUS.read_text(encoding="utf-8")), self.by_nodeid)
            if self._complaints and exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was found."""
        if self._complaints:
            terminalreporter.section("named in ASYNC_STATUS.md, but not passed", red=True)
            for complaint in self._complaints:
                terminalreporter.line(complaint, red=True)
