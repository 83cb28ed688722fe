"""`python -m minuted_daemon`."""

import sys

from minuted_daemon.cli import main

if __name__ == "__main__":  # a worker process that is spawned imports this file again
    sys.exit(main())
