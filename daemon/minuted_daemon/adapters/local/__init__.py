"""The offline engine as the daemon sees it: ports served by worker processes.

Models are loaded in `worker` alone, never in the daemon's process.
"""
