"""Topics, groups and interceptors under many seeds: members come, go and fail, interceptors do their worst."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from bugs.workload import FAULTS, run_workload
from ceylon import Mesh, NextDelivery, NextHandling
from ceylon.core.delivering import InterceptedRouter
from ceylon.core.group_calls import GroupCall
from ceylon.core.publication import Publication
from ceylon.core.router import Router
from ceylon.errors import RejectedError
from ceylon.messages import Envelope, Outcome
from ceylon.testing import Faults, Simulation, run_simulation
from support.simulated import run_shops
from support.simulated_family import run_family
from support.simulated_newsroom import run_newsroom
from support.simulated_topics import run_groups, run_hasty_publisher, run_hostile_interceptors

Program = Callable[[Simulation], Awaitable[None]]

PROGRAMS: Final[list[Program]] = [run_groups, run_hasty_publisher, run_hostile_interceptors]
FEW: Final = 50
MANY: Final = 500
ANY: Final = Faults()


def _run(program: Program, seeds: range, faults: Faults = ANY) -> None:
    for seed in seeds:
        backend: Any = "trio" if seed % 5 == 4 else "asyncio"
        outcome = run_simulation(program, seed=seed, faults=faults if seed % 2 else None, backend=backend)
        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Let agents fail without a word; they do on purpose."""
    caplog.set_level("CRITICAL", "ceylon")


@pytest.mark.parametrize("program", PROGRAMS)
def test_topics_and_interceptors_keep_their_promises_under_some_seeds(program: Program) -> None:
    _run(program, range(FEW))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", PROGRAMS)
def test_topics_and_interceptors_keep_their_promises_under_many_seeds(program: Program) -> None:
    _run(program, range(FEW, MANY))


# -- interceptors that do nothing --------------------------------------------------------------------------------------


def _let_pass(envelope: Envelope, call_next: NextDelivery) -> None:
    call_next(envelope)


async def _handle(envelope: Envelope, call_next: NextHandling) -> Any:
    return await call_next(envelope)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every simulated mesh have interceptors, in programs that know of none."""
    onion = functools.partial(Mesh, interceptors=[_let_pass, _handle, _let_pass, _handle])
    monkeypatch.setattr("ceylon.testing.simulation.simulation.Mesh", onion)


OTHERS: Final[list[tuple[Program, Faults]]] = [
    (functools.partial(run_shops, bears_faults=True), ANY),
    (run_newsroom, ANY),
    (run_family, ANY),
    (run_workload, FAULTS),  # it bears no crashes
    (run_groups, ANY),
]


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize(("program", "faults"), OTHERS)
def test_programs_run_as_well_where_interceptors_do_nothing(program: Program, faults: Faults) -> None:
    _run(program, range(10), faults)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize(("program", "faults"), OTHERS)
def test_programs_run_as_well_where_interceptors_do_nothing_under_many_seeds(program: Program, faults: Faults) -> None:
    _run(program, range(10, 100), faults)


# -- sabotage ----------------------------------------------------------------------------------------------------------


def _wait_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay in the line before the other members' mailboxes after one has had room."""
    monkeypatch.setattr(GroupCall, "leave_others", lambda self, admitted: None)


def _pass_over_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no dead letter of what found no room."""
    monkeypatch.setattr(Router, "refuse_full", lambda self, envelope: None)


def _wait_although_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Publication.offer

    def broken(self: Publication, address: str, *, waits: bool) -> bool:
        del waits
        return offer(self, address, waits=True)

    monkeypatch.setattr(Publication, "offer", broken)


def _deliver_what_was_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    let_pass = InterceptedRouter.let_pass

    def broken(self: InterceptedRouter, envelope: Envelope) -> None:
        try:
            let_pass(self, envelope)
        except RejectedError:
            if envelope.id % 3:
                raise

    monkeypatch.setattr(InterceptedRouter, "let_pass", broken)


def _reply_never(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Router.reply

    def broken(self: Router, envelope: Envelope, outcome: Outcome) -> None:
        if envelope.id % 5:
            reply(self, envelope, outcome)

    monkeypatch.setattr(Router, "reply", broken)


@pytest.mark.breaks_the_law
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize(
    ("program", "break_it"),
    [
        (run_groups, _wait_on),
        (run_groups, _pass_over_silently),
        (run_hasty_publisher, _pass_over_silently),
        (run_hasty_publisher, _wait_although_told_not_to),
        (run_hostile_interceptors, _deliver_what_was_rejected),
        (run_hostile_interceptors, _reply_never),
    ],
)
def test_a_break_of_topics_or_interceptors_is_found(
    program: Program, break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)

    with pytest.raises(AssertionError, match="seed"):
        _run(program, range(FEW))
