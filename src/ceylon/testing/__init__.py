"""Instruments for programs built on Ceylon: simulation, scripted models, model servers that misbehave.

The servers are imported from their own modules, `ceylon.testing.model_server` and `ceylon.testing.ollama_server`: both
also run as programs.
"""

from ceylon.models.scripted import ScriptedModel, ScriptError, Step
from ceylon.testing.history import Event, History, What
from ceylon.testing.recording import recording_instruments
from ceylon.testing.simulation import Faults, Simulation, SimulationOutcome, run_simulation, simulate

__all__ = [
    "Event",
    "Faults",
    "History",
    "ScriptError",
    "ScriptedModel",
    "Simulation",
    "SimulationOutcome",
    "Step",
    "What",
    "recording_instruments",
    "run_simulation",
    "simulate",
]
