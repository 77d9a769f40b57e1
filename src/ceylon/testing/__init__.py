"""Instruments for programs built on Ceylon: simulation, probes, checkers, scripted models, cassettes, faulty servers.

The servers are imported from their own modules, `ceylon.testing.model_server` and `ceylon.testing.ollama_server`: both
also run as programs. So are the contracts of the ports, `ceylon.testing.contracts`, and what breaks the core on
purpose, `ceylon.testing.sabotage`. Nothing here loads pytest.
"""

from ceylon.models.scripted import ScriptedModel, ScriptError, Step
from ceylon.testing.cassette import CassetteError
from ceylon.testing.checkers import (
    asks_resolved,
    check,
    conservation,
    effects_once,
    fifo,
    nothing_leaked,
    one_at_a_time,
)
from ceylon.testing.conversations import check_history
from ceylon.testing.embedding import HashingEmbedder
from ceylon.testing.history import Event, History, What
from ceylon.testing.law import LawWatch
from ceylon.testing.leftovers import Leftovers
from ceylon.testing.patience import nothing_in_vain, room_given
from ceylon.testing.probe import BlockingProbe, Probe
from ceylon.testing.recording import recording_instruments
from ceylon.testing.replay import Recording, record
from ceylon.testing.seclusion import BlockedModelError, block_models
from ceylon.testing.simulation import Faults, Simulation, SimulationOutcome, run_simulation, simulate

__all__ = [
    "BlockedModelError",
    "BlockingProbe",
    "CassetteError",
    "Event",
    "Faults",
    "HashingEmbedder",
    "History",
    "LawWatch",
    "Leftovers",
    "Probe",
    "Recording",
    "ScriptError",
    "ScriptedModel",
    "Simulation",
    "SimulationOutcome",
    "Step",
    "What",
    "asks_resolved",
    "block_models",
    "check",
    "check_history",
    "conservation",
    "effects_once",
    "fifo",
    "nothing_in_vain",
    "nothing_leaked",
    "one_at_a_time",
    "record",
    "recording_instruments",
    "room_given",
    "run_simulation",
    "simulate",
]
