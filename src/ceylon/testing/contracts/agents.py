"""What the mesh needs of an agent: the port `ceylon.core.ports.AgentLike`, which `ceylon.Agent` keeps for all."""

from collections.abc import Hashable
from typing import Final

from ceylon.core.mesh import Mesh
from ceylon.core.ports import AgentLike, AgentOptions
from ceylon.errors import AgentInUseError
from ceylon.messages import TELL, Envelope
from ceylon.testing.contracts.promises import keep_all, require, require_type

__all__ = ["agent_contract"]

_HOOKS: Final = ("on_start", "on_stop", "on_restart", "lifespan")


async def agent_contract(agent: AgentLike) -> None:
    """Try every promise of an agent that is in no mesh: it joins meshes of the contract's own, and leaves them.

    Raises:
        AssertionError: a promise is broken.
    """
    trial = _Trial(agent)
    promises = (
        trial.its_options_are_options,
        trial.its_hooks_are_functions_or_none,
        trial.its_serial_keys_are_hashable,
        trial.it_can_be_made_again,
        trial.it_is_found_in_its_mesh,
        trial.it_is_in_one_mesh_at_a_time,
        trial.it_is_free_when_its_mesh_has_ended,
        trial.it_is_free_when_it_has_left,
    )
    await keep_all(f"agent {agent.name!r}", promises)


class _Trial:
    """One agent."""

    def __init__(self, agent: AgentLike) -> None:
        self._agent = agent

    async def its_options_are_options(self) -> None:
        options = self._agent.__ceylon_options__()
        require_type(options, AgentOptions, "what it gives")
        require(options.concurrency >= 1, f"concurrency is {options.concurrency}")
        require(options == self._agent.__ceylon_options__(), "they differ from one question to the next")

    async def its_hooks_are_functions_or_none(self) -> None:
        for name in _HOOKS:
            hook = self._agent.__ceylon_hook__(name)
            require(hook is None or callable(hook), f"{name} is {hook!r}")

    async def its_serial_keys_are_hashable(self) -> None:
        for key in ("", "/alice"):
            found = self._agent.__ceylon_serial_key__(Envelope(1, TELL, "", f"{self._agent.name}{key}", "hello"))
            require(isinstance(found, Hashable), f"the key of an envelope is {found!r}")

    async def it_can_be_made_again(self) -> None:
        again = self._agent.__ceylon_rebuild__()
        require(again.__ceylon_itself__ is not self._agent.__ceylon_itself__, "it is the same object, not a new one")
        require(again.name == self._agent.name, f"it is called {again.name!r}, not {self._agent.name!r}")
        require(again.__ceylon_options__() == self._agent.__ceylon_options__(), "the new one has other options")

    async def it_is_found_in_its_mesh(self) -> None:
        async with Mesh("contract") as mesh:
            ref = mesh.add(self._agent)
            require(ref.address == self._agent.name, f"its address is {ref.address!r}, its name {self._agent.name!r}")
            require(mesh.agent(self._agent.name) is self._agent.__ceylon_itself__, "its address leads to another one")

    async def it_is_in_one_mesh_at_a_time(self) -> None:
        async with Mesh("contract") as mesh, Mesh("other") as other:
            mesh.add(self._agent)
            try:
                other.add(self._agent)
            except AgentInUseError:
                return
        require(False, "a second mesh could add it")  # noqa: FBT003 – a condition

    async def it_is_free_when_its_mesh_has_ended(self) -> None:
        for _ in range(2):
            async with Mesh("contract") as mesh:
                mesh.add(self._agent)

    async def it_is_free_when_it_has_left(self) -> None:
        async with Mesh("contract") as mesh, Mesh("other") as other:
            mesh.add(self._agent)
            await mesh.stop(self._agent.name)
            other.add(self._agent)
