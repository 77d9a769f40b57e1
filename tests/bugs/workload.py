"""A program for finding bugs of the core: a few activities at once, each of which knows what must come of it.

Nothing in here knows of any bug. Whatever an activity relies on is promised by the mesh, also when messages are late,
overtake those of others, and handlers take their time.
"""

import functools
from typing import Final

import msgspec

from bugs.asking import being_impatient, counting_up, crossing, leaving, meeting, relaying, returning
from bugs.living import beginning_together, ending, failing, parting, wearing_out
from bugs.moving import carrying, closing, dictating, publishing, streaming, typing
from bugs.scene import Scene, together
from ceylon.settings import DEFAULTS
from ceylon.testing import Faults, Simulation

__all__ = ["FAULTS", "run_workload"]

FAULTS: Final = Faults(crash=0.0, model=0.0)
"""No crashes: what a crashed handler has done is not known, and the agents fail by themselves."""
_SETTINGS: Final = msgspec.structs.replace(
    DEFAULTS, stream_credit=3, threads=2, threads_per_agent=1, handler_timeout=300.0, ask_timeout=60.0
)
_MOST: Final = 3
"""Activities of one seed: few, so that what was found is soon about one thing."""
ACTIVITIES: Final = (
    relaying,
    counting_up,
    being_impatient,
    leaving,
    crossing,
    returning,
    meeting,
    typing,
    dictating,
    streaming,
    publishing,
    carrying,
    closing,
    failing,
    wearing_out,
    ending,
    parting,
    beginning_together,
)


async def run_workload(simulation: Simulation) -> None:
    """Do some of it, at once."""
    async with simulation.mesh(settings=_SETTINGS) as mesh:
        chosen = simulation.some_of(ACTIVITIES, _MOST)
        scenes = [functools.partial(each, Scene(mesh, simulation, each.__name__)) for each in chosen]
        await together(*scenes)
