"""Activities about the lives of agents: failures, restarts, ends, and who hears of them."""

from typing import Any

import anyio
import pytest

from bugs.agents import Clan, Doomed, Family, Sibling, Slow, Watcher, Worn
from bugs.scene import Scene, once_each, together
from ceylon import AgentStoppedError, HandlerError, UnknownAgentError
from ceylon.testing import What

__all__ = ["beginning_together", "ending", "failing", "parting", "wearing_out"]


async def failing(scene: Scene) -> None:
    """A poison message: it is gone, what is behind it is handled, by an instance that knows nothing of it."""
    scene.add(sibling=Sibling)
    for number in (1, -2, 3):
        await scene.mesh.tell("sibling", number)
    with pytest.raises(HandlerError, match="-5"):
        await scene.mesh.ask("sibling", -5)
    assert await scene.mesh.ask("sibling", 6) == 6
    await scene.mesh.drain()
    worked = [effect for effect in scene.world.of("sibling") if isinstance(effect, int)]
    once_each(worked, (1, -2, 3, -5, 6), "worked on")
    assert scene.mesh.statistics().agents["sibling"].restarts == 2
    await scene.mesh.stop("sibling")
    lives = [effect for effect in scene.world.of("sibling") if not isinstance(effect, int)]
    assert [what for what, _ in lives] == ["started", "stopped"] * 3, f"the lives of an agent: {lives}"


async def wearing_out(scene: Scene) -> None:
    """Fail more often than is allowed: the agent is gone, and so is what it still had."""
    scene.add(worn=Worn, watcher=Watcher)
    for name in ("worn", "nobody"):
        await scene.mesh.ask("watcher", name)
    for number in (-1, -2, -3, 4):
        await scene.mesh.tell("worn", number)
    await scene.until(lambda: "worn" not in scene.mesh.agents)
    assert "worn" not in scene.mesh.agents, "failed three times, and may do so twice"
    await scene.mesh.drain()
    once_each(scene.world.of("watcher"), (("worn", "failed"), ("nobody", "unknown")), "heard of ends")
    letters = [each.envelope.message for each in scene.mesh.dead_letters() if each.envelope.recipient == "worn"]
    once_each(letters, (-1, -2, -3, 4), "letters nobody could handle")


async def ending(scene: Scene) -> None:
    """Agents stop and fail, watched by two."""
    scene.add(doomed=Doomed, leaver=Slow, observer=Watcher, other=Watcher)
    for watcher in ("observer", "other"):
        for name in ("doomed", "leaver"):
            await scene.mesh.ask(watcher, name)
    await scene.mesh.tell("doomed", -1)
    told = list[int]()

    async def tell() -> None:
        for number in scene.times(4):
            try:
                if number % 2:
                    await scene.mesh.ask("leaver", number)
                else:
                    await scene.mesh.tell("leaver", number)
                    told.append(number)
            except (UnknownAgentError, AgentStoppedError):
                return

    in_haste = scene.random.random() < 0.5

    async def stop() -> None:
        await anyio.sleep(scene.random.choice((0.1, 0.3)))
        await scene.mesh.stop("leaver", at_once=in_haste)

    await together(tell, stop)
    await scene.until(lambda: "doomed" not in scene.mesh.agents)
    await scene.mesh.drain()
    for watcher in ("observer", "other"):
        once_each(scene.world.of(watcher), (("doomed", "failed"), ("leaver", "stopped")), f"{watcher} heard of ends")
    work = scene.world.of("leaver")
    cut_off = {number for what, number in work if what == "began"} - {number for what, number in work if what == "done"}
    assert in_haste or not cut_off, f"cut off though there was time: {cut_off}"
    begun = {event.id for event in scene.simulation.history.of(What.BEGAN) if event.recipient == "leaver"}
    kept = {each.envelope.id for each in scene.mesh.dead_letters() if each.envelope.recipient == "leaver"}
    assert not begun & kept, f"begun, and kept as dead letters: {begun & kept}"
    assert len(told) <= len(begun | kept), f"told {len(told)}; begun {begun}, kept as dead letters {kept}"


async def parting(scene: Scene) -> None:
    """A family ends, the youngest first."""
    scene.add(family=Family)
    await scene.mesh.ask("family", "tick")  # its children are there, once it answers
    names = ("first", "second", "third")
    for child in names:
        assert await scene.mesh.ask(child, 1) == 1
    await scene.mesh.stop("family")
    left = {*names, "family"} & set(scene.mesh.agents)
    assert not left, f"left behind: {sorted(left)}"
    stopped = [event.recipient for event in scene.simulation.history.of(What.STOPPED)]
    order = [name for name in stopped if name in {*names, "family"}]
    assert order == ["third", "second", "first", "family"], f"a family stopped in this order: {order}"
    for child in names:
        assert _life(scene, child) == ["started", 1, "stopped"], f"the life of {child}: {_life(scene, child)}"


async def beginning_together(scene: Scene) -> None:
    """A child fails, and all children begin again."""
    scene.add(clan=Clan)
    await scene.mesh.ask("clan", "tick")
    names = ("elder", "younger")
    with pytest.raises(HandlerError):
        await scene.mesh.ask("elder", -1)
    await scene.until(lambda: all(scene.mesh.statistics().agents[name].restarts for name in names))
    for name in names:
        assert await scene.mesh.ask(name, 2) == 2
        life = [each for each in _life(scene, name) if each != -1]
        assert life == ["started", "stopped", "started", 2], f"the life of {name}: {life}"


def _life(scene: Scene, name: str) -> list[Any]:
    """Return what an agent has done and been, without the numbers of its instances."""
    return [each if isinstance(each, int) else each[0] for each in scene.world.of(name)]
