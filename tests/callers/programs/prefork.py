"""A server that forks its workers after it has used the default mesh, and goes on using it in a thread meanwhile.

Its argument is where language models are. The first child reports every verb, blocking and awaited; some more children
ask one question each.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from functools import partial

import ceylon
from support.callers_agents import Shop
from support.callers_awaited import AWAITED
from support.callers_blocking import BLOCKING
from support.callers_report import report, report_async
from support.callers_stage import Stage, blocking_stage, stage, tutor_at

CHILDREN = 8

own = ceylon.BlockingMesh("own").start()
own_shop = own.add(Shop("shop"))
shop = ceylon.default_mesh().add(Shop("shop"))


def main(url: str) -> None:
    """Fork while a thread of the parent keeps its default mesh busy."""
    tutor = tutor_at(url)
    report("parent.before", lambda: [tutor.send_message("hi"), shop.ask(7)])
    is_over = threading.Event()
    busy = threading.Thread(target=lambda: keep_busy(tutor, is_over))
    busy.start()
    status = fork(lambda: work(tutor, url))
    statuses = [fork(lambda: report("child.question", lambda: tutor.send_message("hi"))) for _ in range(CHILDREN)]
    is_over.set()
    busy.join()
    report("children", lambda: [status, *statuses])
    report("parent.after", lambda: [tutor.send_message("hi"), shop.ask(7), own_shop.ask(7)])
    own.stop()


def keep_busy(tutor: ceylon.LlmAgent, is_over: threading.Event) -> None:
    """Ask until told to end."""
    while not is_over.is_set():
        tutor.send_message("hi")
        shop.ask(7)


def work(tutor: ceylon.LlmAgent, url: str) -> None:
    """Be the worker: the agent of the parent works here too, in this process's own default mesh."""
    report("child.inherited", lambda: refusal(lambda: own_shop.ask(7)))
    report("child.inherited_default", lambda: refusal(lambda: shop.ask(7)))
    with blocking_stage(url) as here:
        mine = Stage(here.mesh, tutor)
        for verb, use in BLOCKING.items():
            report(f"blocking.{verb}", partial(use, mine))
    asyncio.run(work_async(tutor, url))


async def work_async(tutor: ceylon.LlmAgent, url: str) -> None:
    """Do the same on a loop."""
    async with stage(url) as here:
        mine = Stage(here.mesh, tutor)
        for verb, use in AWAITED.items():
            await report_async(f"awaited.{verb}", use(mine))


def refusal(ask: Callable[[], object]) -> str:
    """Return what is wrong with a mesh that came through the fork."""
    try:
        ask()
    except ceylon.MeshClosedError as error:
        return str(error)
    return ""


def fork(function: Callable[[], None]) -> int:
    """Run *function* in a child that ends as a program does; return its exit status."""
    child = os.fork()
    if not child:
        function()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
