"""Programs written for the package `ceylonai-next`, 0.1.2 or 0.3.6: change the import, keep the program.

``from ceylon.compat import Agent, LlmAgent, LocalMesh`` has the names of both, on the mesh of this package. Their
spellings live here and nowhere else. As everywhere in Ceylon, a name loads its part when it is first asked for.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from ceylon import __version__ as __version__

if TYPE_CHECKING:
    from ceylon.compat.actions import FunctionalAction, PyAction, PyToolInvoker, _PyAction
    from ceylon.compat.agents import Agent, PyAgent
    from ceylon.compat.contexts import PyAgentContext, PyAgentMetadata, PyInMemoryRegistry
    from ceylon.compat.distributed import DistributedMesh, PyDistributedMesh
    from ceylon.compat.llm import LlmAgent, LlmConfig, PyLlmAgent, PyLlmConfig
    from ceylon.compat.logging import (
        LoggingConfig,
        LoggingHandle,
        PyLoggingConfig,
        PyLoggingHandle,
        init_logging,
        init_logging_py,
    )
    from ceylon.compat.memory import (
        InMemoryBackend,
        Memory,
        MemoryEntry,
        MemoryQuery,
        PyInMemoryBackend,
        PyMemoryEntry,
        PyMemoryQuery,
        PyRedisBackend,
        RedisBackend,
    )
    from ceylon.compat.meshes import LocalMesh, PyLocalMesh
    from ceylon.compat.metrics import get_metrics
    from ceylon.compat.processors import AsyncMessageProcessor, PyAgentMessageProcessor
    from ceylon.compat.react import PyReActConfig, PyReActResult, PyReActStep, ReActConfig, ReActResult, ReActStep
    from ceylon.compat.requests import MeshRequest, MeshResult, PyMeshRequest, PyMeshResult

__all__ = [
    "Agent",
    "AsyncMessageProcessor",
    "DistributedMesh",
    "FunctionalAction",
    "InMemoryBackend",
    "LlmAgent",
    "LlmConfig",
    "LocalMesh",
    "LoggingConfig",
    "LoggingHandle",
    "Memory",
    "MemoryEntry",
    "MemoryQuery",
    "MeshRequest",
    "MeshResult",
    "PyAction",
    "PyAgent",
    "PyAgentContext",
    "PyAgentMessageProcessor",
    "PyAgentMetadata",
    "PyDistributedMesh",
    "PyInMemoryBackend",
    "PyInMemoryRegistry",
    "PyLlmAgent",
    "PyLlmConfig",
    "PyLocalMesh",
    "PyLoggingConfig",
    "PyLoggingHandle",
    "PyMemoryEntry",
    "PyMemoryQuery",
    "PyMeshRequest",
    "PyMeshResult",
    "PyReActConfig",
    "PyReActResult",
    "PyReActStep",
    "PyRedisBackend",
    "PyToolInvoker",
    "ReActConfig",
    "ReActResult",
    "ReActStep",
    "RedisBackend",
    "_PyAction",
    "get_metrics",
    "init_logging",
    "init_logging_py",
]

_HOMES: Final = {
    "actions": ("FunctionalAction", "PyAction", "PyToolInvoker", "_PyAction"),
    "agents": ("Agent", "PyAgent"),
    "contexts": ("PyAgentContext", "PyAgentMetadata", "PyInMemoryRegistry"),
    "distributed": ("DistributedMesh", "PyDistributedMesh"),
    "llm": ("LlmAgent", "LlmConfig", "PyLlmAgent", "PyLlmConfig"),
    "logging": (
        *("LoggingConfig", "LoggingHandle", "PyLoggingConfig", "PyLoggingHandle"),
        *("init_logging", "init_logging_py"),
    ),
    "memory": (
        *("InMemoryBackend", "Memory", "MemoryEntry", "MemoryQuery", "RedisBackend"),
        *("PyInMemoryBackend", "PyMemoryEntry", "PyMemoryQuery", "PyRedisBackend"),
    ),
    "meshes": ("LocalMesh", "PyLocalMesh"),
    "metrics": ("get_metrics",),
    "processors": ("AsyncMessageProcessor", "PyAgentMessageProcessor"),
    "react": ("PyReActConfig", "PyReActResult", "PyReActStep", "ReActConfig", "ReActResult", "ReActStep"),
    "requests": ("MeshRequest", "MeshResult", "PyMeshRequest", "PyMeshResult"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None:
            message = f"module 'ceylon.compat' has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[__name__])
        value = globals()[name] = getattr(importlib.import_module(f"ceylon.compat.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
