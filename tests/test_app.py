"""The daemon as one process: what it does beside what its parts do."""

import json
import os
import subprocess
import sys
from pathlib import Path

WATCHED = """
import asyncio, gc, json, os, sys
from pathlib import Path
from minuted_daemon import app
from minuted_daemon.config import load_config

async def main():
    config = load_config(None, os.environ)
    running = asyncio.create_task(app.run(config))
    while not Path(sys.argv[1]).exists():
        await asyncio.sleep(0.01)
        if running.done():
            running.result()
    at_start = gc.get_freeze_count(), len(gc.get_objects())
    while gc.get_freeze_count() < at_start[0] + 10_000:
        await asyncio.sleep(0.01)
    print(json.dumps([*at_start, gc.get_freeze_count(), len(gc.get_objects())]))
    running.cancel()
    await asyncio.wait({running})

asyncio.run(main())
"""


def test_the_garbage_collector_passes_over_what_stays(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINUTED_")} | {
        "MINUTED_DAEMON__STATE_DIR": str(tmp_path / "state"),
        "MINUTED_DAEMON__LISTEN": f"unix:{tmp_path}/minuted.sock",
        "OPENAI_API_KEY": "none",
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path / "minuted.sock")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=True,
    )
    frozen, left, frozen_later, left_later = json.loads(done.stdout.splitlines()[-1])
    assert frozen > 20 * left, "the daemon's own modules"
    assert frozen_later > 20 * left_later, "the SDK's as well, which is imported behind the start"
