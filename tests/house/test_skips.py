"""The skip policy can turn red: a gate nobody has seen fail is no gate."""

from pathlib import Path

import pytest

SUITE = """
    import pytest

    def test_runs():
        pass

    @pytest.mark.skip(reason="no engine here")
    def test_skips():
        pass

    @pytest.mark.parametrize("size", [1, 2])
    def test_skips_inside(size):
        pytest.skip("no room")

    @pytest.mark.xfail(reason="known")
    def test_fails():
        raise ValueError
"""
SKIPPED = ["test_suite.py::test_fails", "test_suite.py::test_skips", "test_suite.py::test_skips_inside"]


pytestmark = pytest.mark.process


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with the policy, one passing test and three kinds of skipped ones, run as in CI."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeconftest('pytest_plugins = ["plugins.skips"]')
    pytester.makepyfile(test_suite=SUITE)
    pytester.mkdir("tests")
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)


def allow(suite: pytest.Pytester, *lines: str) -> None:
    (suite.path / "tests" / "allowed_skips.txt").write_text("\n".join(lines), encoding="utf-8")


def test_an_unlisted_skip_fails_the_run_and_is_named(suite: pytest.Pytester) -> None:
    allow(suite, f"{SKIPPED[0]} — known", f"{SKIPPED[2]} — no room here")

    result = run(suite)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*not in tests/allowed_skips.txt*", f"{SKIPPED[1]} — …"])
    result.stdout.no_fnmatch_line(f"{SKIPPED[0]} — …")
    result.stdout.no_fnmatch_line(f"{SKIPPED[2]}* — …")


def test_every_kind_of_skip_counts(suite: pytest.Pytester) -> None:
    result = run(suite)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"{SKIPPED[0]} — …", f"{SKIPPED[1]} — …", "*test_skips_inside?1? — …"])


def test_a_module_that_skips_itself_counts(suite: pytest.Pytester) -> None:
    allow(suite, *(f"{nodeid} — allowed" for nodeid in SKIPPED))
    suite.makepyfile(test_module='import pytest\npytest.importorskip("no_such_module")')

    result = run(suite)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["test_module.py — …"])


def test_skips_count_when_the_suite_runs_in_workers(suite: pytest.Pytester) -> None:
    result = run(suite, "-n", "2")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"{nodeid}* — …" for nodeid in SKIPPED])


def test_listed_skips_pass(suite: pytest.Pytester) -> None:
    allow(suite, "# a comment", "", *(f"{nodeid} — allowed" for nodeid in SKIPPED))

    assert run(suite).ret == pytest.ExitCode.OK


def test_outside_ci_skipping_is_free(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI")

    assert run(suite).ret == pytest.ExitCode.OK


def test_a_listed_skip_needs_a_reason(suite: pytest.Pytester) -> None:
    allow(suite, SKIPPED[0])

    result = run(suite)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*write `nodeid — reason`*"])
