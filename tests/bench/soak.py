"""`make soak`: does anything grow, or drift? `--minutes N` in real time, `--virtual HOURS` in virtual time, or both.

Real: four sessions of a real daemon against both vendors' stand-ins. Virtual: the core, the line of blocks of a device
and the map to wall time, with a device whose clock is wrong. Exits 1 if a figure misses its target.
"""

import argparse
import sys

from tests.bench import soak_real, soak_virtual

MINUTES, HOURS = 120.0, 24.0


def main() -> int:
    """Run what is asked for; without a wish both, the real one for two hours."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, help=f"real time, {MINUTES:.0f} unless told")
    parser.add_argument("--virtual", type=float, metavar="HOURS", help=f"virtual time, {HOURS:.0f} unless told")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    both = options.minutes is None and options.virtual is None
    missed: list[str] = []
    if both or options.virtual is not None:
        missed += soak_virtual.report(options.virtual or HOURS, options.seed)
    if both or options.minutes is not None:
        missed += soak_real.report(options.minutes or MINUTES)
    print("every figure within its target" if not missed else f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
