"""A process that spools until it is killed: python victim.py STATE_DIR. It prints the samples it has put in."""

import asyncio
import sys
from pathlib import Path

import structlog

from minuted_daemon.adapters.spool.spools import open_spools
from tests.adapters.spool.rooms import ONE, UNBOUND, block

FASTER = 4
"""Times real time."""


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    spools = await open_spools(Path(sys.argv[1]), UNBOUND)
    spool = spools.open(ONE)
    while True:
        spool.append(block(spool.end))
        sys.stdout.write(f"{spool.end}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.1 / FASTER)


if __name__ == "__main__":
    asyncio.run(main())
