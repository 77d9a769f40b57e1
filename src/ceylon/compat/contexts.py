"""Small values that programs make and hand around: the context of a call, and the entries of a registry."""

__all__ = ["PyAgentContext", "PyAgentMetadata", "PyInMemoryRegistry"]


class PyAgentContext:
    """What a handler or an action is told of its surroundings.

    Args:
        mesh_name: The mesh the call comes from; ``"python"`` where there is none.
    """

    def __init__(self, mesh_name: str) -> None:
        self._mesh_name = mesh_name

    def __repr__(self) -> str:
        return f"<PyAgentContext of mesh {self._mesh_name!r}>"

    @property
    def mesh_name(self) -> str:
        """The mesh the call comes from."""
        return self._mesh_name


class PyAgentMetadata:
    """Where an agent can be found.

    Args:
        id: What it is registered under.
        name: What it is called.
        address: Where it is.
    """

    def __init__(self, id: str, name: str, address: str) -> None:  # noqa: A002 – the parameter's published name
        self._id, self._name, self._address = id, name, address

    def __repr__(self) -> str:
        return f"<PyAgentMetadata {self._id!r} {self._name!r} at {self._address!r}>"

    @property
    def id(self) -> str:
        """What it is registered under."""
        return self._id

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    @property
    def address(self) -> str:
        """Where it is."""
        return self._address


class PyInMemoryRegistry:
    """Agents that can be found, in this process."""

    def __init__(self) -> None:
        self._agents: dict[str, PyAgentMetadata] = {}

    def __repr__(self) -> str:
        return f"<PyInMemoryRegistry {len(self._agents)} agents>"

    def register(self, metadata: PyAgentMetadata) -> None:
        """Keep *metadata* under its id, in place of what was there."""
        self._agents[metadata.id] = metadata

    def get_agent(self, agent_id: str) -> PyAgentMetadata | None:
        """Return what is registered under *agent_id*, if anything is."""
        return self._agents.get(agent_id)
