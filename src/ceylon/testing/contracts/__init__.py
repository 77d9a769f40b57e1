"""What each port promises, as functions that anybody can run on an adapter: `await model_contract(my_model)`.

A contract raises one `AssertionError` that names every promise the adapter breaks. It runs on the caller's loop.
"""

from ceylon.testing.contracts.agents import agent_contract
from ceylon.testing.contracts.conversations import conversation_contract
from ceylon.testing.contracts.drivers import driver_contract
from ceylon.testing.contracts.embedders import embedder_contract
from ceylon.testing.contracts.memories import memory_contract
from ceylon.testing.contracts.models import model_contract
from ceylon.testing.contracts.snapshots import snapshot_contract

__all__ = [
    "agent_contract",
    "conversation_contract",
    "driver_contract",
    "embedder_contract",
    "memory_contract",
    "model_contract",
    "snapshot_contract",
]
