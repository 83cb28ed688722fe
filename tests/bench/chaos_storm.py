"""All faults at once, on a schedule that the seed makes: each vendor's, and the house's, in three lanes side by side.

In its lane each fault waits for the one before it, as a frozen process takes no orders; between the lanes any may meet
any. Left out is what lasts longer than a storm, what ends a session, and what is about its start.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from tests.bench.chaos_house import HOUSE
from tests.bench.chaos_judge import Window
from tests.bench.chaos_play import Fault, Strike
from tests.bench.chaos_stage import Stage
from tests.bench.chaos_vendors import LONG_S, OPENAI, PING_S, PYANNOTE, USUAL

STORM_S = 90.0
PAUSE_S = (0.5, 6.0)
"""Between a fault and the next of its lane."""
HOLD_S = (1.0, 6.0)
"""A fault that would last to the end of the session is taken back after so long."""


def may_strike(fault: Fault) -> bool:
    """Whether a fault has a place in a storm."""
    return not fault.refused and not fault.cut_short and bool(fault.strike_s) and fault.length_s < LONG_S


def storm(number: int) -> Strike:
    """Let it storm for a while. Each `number` is another schedule of the same seed."""

    async def strike(stage: Stage) -> Window:
        began_at = time.time()
        async with asyncio.TaskGroup() as lanes:
            for vendor, faults in (("openai", OPENAI), ("pyannote", PYANNOTE), ("", HOUSE)):
                rng = random.Random(f"{stage.seed}/{number}/{vendor}")
                lanes.create_task(_lane(stage, vendor, [*filter(may_strike, faults)], rng, began_at + STORM_S))
        return Window(began_at, time.time(), PING_S)

    return strike


async def _lane(stage: Stage, vendor: str, faults: Sequence[Fault], rng: random.Random, until: float) -> None:
    for fault in rng.sample(faults, len(faults)):
        await asyncio.sleep(rng.uniform(*PAUSE_S))
        if time.time() > until:
            return
        await fault.strike(stage)
        if vendor:
            await asyncio.sleep(rng.uniform(*HOLD_S))
            await stage.order(vendor, clear_faults=True, knobs=USUAL[vendor])


STORMS: Sequence[Fault] = tuple(
    Fault(f"all at once for {STORM_S:.0f} s: schedule {number}", "all", storm(number), length_s=LONG_S, disk="64m")
    for number in (1, 2)
)
