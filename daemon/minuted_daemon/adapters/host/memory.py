"""How the process keeps its memory over months: settings of glibc's malloc and the garbage collector."""

import ctypes
import gc

M_MMAP_THRESHOLD = -3
"""As in malloc.h."""
MAPPED = 128 * 1024


def fix_mmap_threshold() -> None:
    """Have malloc give every piece of 128 kB or more a mapping of its own, for good.

    That is how it begins; but it raises the bound to the largest such piece that was ever freed. asyncio reads each
    message into 256 kB and frees all but what came. On the heap that is always at the end, where the few bytes
    then stay in the way: the heap grows by several 100 kB an hour, and never shrinks.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library: as it likes
        return
    mallopt(M_MMAP_THRESHOLD, MAPPED)


def freeze_gc() -> None:
    """Have the garbage collector leave alone what is there by now: modules, which stay.

    With them a full collection holds the event loop up for 0.1 s and is put off for hours, while what only it finds
    piles up; without them it takes some ms and comes often. It is put off by the size of the last one: hence one now.
    """
    gc.freeze()
    gc.collect()
