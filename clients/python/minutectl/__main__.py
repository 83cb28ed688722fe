"""`python -m minutectl`."""

import sys

from minutectl.cli import main

sys.exit(main())
