"""Run an async test many times, each time in another order, on a clock that does not wait, with things going wrong."""

from ceylon.testing.simulation.engine import Check, SimulationOutcome, run_simulation
from ceylon.testing.simulation.faults import Faults
from ceylon.testing.simulation.simulate import simulate
from ceylon.testing.simulation.simulation import Simulation

__all__ = ["Check", "Faults", "Simulation", "SimulationOutcome", "run_simulation", "simulate"]
