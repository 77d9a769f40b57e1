"""What a person reads: lines on the terminal, and tables between the markers of a page."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.goals import Judged
from benchmarks.results import Results, Row, Spread, figure
from benchmarks.rounds import Entrant

__all__ = ["closing", "opening", "table", "write_into"]

BEGIN = "<!-- benchmarks: begin -->"
END = "<!-- benchmarks: end -->"

_HEAD = ("contender", "Python, loop", "figure", "spread", "by the other clock", "× the floor", "Ceylon is … × as good")
_WIDTHS = (32, 16, 14, 22, 20, 22, 24)


def opening(results: Results) -> str:
    """Return what is printed before anything is measured."""
    where = results.machine
    settings = ", ".join(f"{name}={value:g}" for name, value in results.settings.items() if value is not None)
    return (
        f"{where.python}, {where.system}, {where.processor}, {where.cores} cores, {where.memory / 2**30:.0f} GiB\n"
        f"default Mesh(): {settings}"
    )


def table(row: Row) -> str:
    """Return *row* as lines of text."""
    lines = [f"\n{row.title}", *(_line(cells) for cells in [_HEAD, *_cells(row)])]
    return "\n".join([*lines, *(f"  {sentence}" for sentence in [*_beside(row), *_absent(row)])])


def closing(results: Results, judged: list[Judged]) -> str:
    """Return what is printed at the end: the goals, what was skipped and what broke."""
    measured = [each for each in judged if each.holds is not None]
    lines = ["", "goals", *(_line(cells, (64, 34, 40, 4)) for cells in _goals(measured))]
    if measured != judged:
        lines.append(f"  not measured: {len(judged) - len(measured)} more")
    lines += [f"skipped: {reason}" for reason in results.skipped.values()]
    lines += [f"BROKEN: {sentence}" for sentence in results.broken()]
    return "\n".join([*lines, f"took {results.took / 60:.1f} min"])


def write_into(page: Path, results: Results, judged: list[Judged]) -> None:
    """Replace what is between the markers of *page* by the tables.

    Raises:
        ValueError: the page has no such markers.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{page} has no lines {BEGIN!r} and {END!r} between which the tables could go"
        raise ValueError(message)
    text = "\n".join([*_picture(page), *_page(results, judged)])
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _picture(page: Path) -> list[str]:
    """Return the lines that show the plot, if there is one of the page's name beside it."""
    plot = page.with_suffix(".svg")
    return [f"![How many times as good as the floor each contender is]({plot.name})\n"] if plot.exists() else []


def _page(results: Results, judged: list[Judged]) -> Iterator[str]:
    where = results.machine
    machine = f"{where.python}, {where.system}, {where.processor}, {where.cores} cores, {where.memory / 2**30:.0f} GiB"
    yield f"One run of {results.took / 60:.0f} minutes on {machine}."
    yield "\n### Goals\n"
    yield from _markdown(("what", "goal", "measured", "holds"), _goals(judged))
    for row in results.rows:
        yield f"\n### {row.title}\n"
        yield from _markdown(_HEAD, _cells(row))
        yield from (f"\n{sentence}." for sentence in [*_beside(row), *_absent(row)])
    yield "\n### Versions\n"
    versions = [(name, ", ".join(installed)) for name, installed in results.versions.items()]
    yield from _markdown(("environment", "installed"), versions)
    yield from (f"\nSkipped: {reason}." for reason in results.skipped.values())


def _beside(row: Row) -> Iterator[str]:
    """Yield what contenders reported beside what the table shows."""
    for each in row.entrants:
        names = (
            [] if each.error is not None else [name for name in each.measurements[0].figures if name != row.scenario]
        )
        figures = ", ".join(f"{name} {figure(row.value(each, name).median)}" for name in names)
        if figures:
            yield f"{each.contender} ({each.python}, {each.loop}): {figures}"


def _absent(row: Row) -> Iterator[str]:
    for name, reason in row.absent.items():
        yield f"{name}: not offered: {reason}"


def _goals(judged: list[Judged]) -> list[tuple[str, ...]]:
    return [(each.what, each.goal, each.measured, each.verdict) for each in judged]


def _markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(head)
    yield f"| {' | '.join(titles)} |"
    yield f"| {' | '.join('---' for _ in titles)} |"
    for cells in lines:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _line(cells: Iterable[str], widths: tuple[int, ...] = _WIDTHS) -> str:
    return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _cells(row: Row) -> list[tuple[str, ...]]:
    return [_cells_of(row, each) for each in row.entrants]


def _cells_of(row: Row, entrant: Entrant) -> tuple[str, ...]:
    where = f"{entrant.python}, {entrant.loop}"
    if entrant.error is not None:
        return entrant.contender, where, "broken", entrant.error.strip().splitlines()[-1], "", "", ""
    value, other = row.value(entrant), row.by_the_other_clock(entrant)
    floor = row.entrant(row.floor, entrant.python, entrant.loop)
    ours = row.entrant("ceylon", entrant.python, entrant.loop)
    beside_floor = _ratio(row.ratio(entrant, floor)) if floor is not None and floor is not entrant else ""
    beside_ours = _ratio(row.ratio(ours, entrant)) if ours is not None and ours is not entrant else ""
    return (
        entrant.contender,
        where,
        f"{figure(value.median)} {row.unit}",
        f"{figure(value.low)} … {figure(value.high)}",
        "" if other is None else f"{'wall' if entrant.clock == 'cpu' else 'CPU'} {figure(other.median)} {row.unit}",
        beside_floor,
        beside_ours,
    )


def _ratio(spread: Spread) -> str:
    return f"{figure(spread.median)} ({figure(spread.low)} … {figure(spread.high)})"
