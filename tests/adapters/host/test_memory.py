"""What malloc is told, in a process of its own."""

import subprocess
import sys

import pytest

ON_THE_HEAP = """
import ctypes, sys
from minuted_daemon.adapters.host.memory import fix_mmap_threshold

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "together":
    fix_mmap_threshold()
libc.free(libc.malloc(4_000_000))
piece = libc.malloc(256 * 1024)
with open("/proc/self/maps") as maps:
    ranges = [line.split()[0].split("-") for line in maps if "[heap]" in line]
print(any(int(low, 16) <= piece < int(high, 16) for low, high in ranges))
"""


@pytest.mark.parametrize(("how", "on_the_heap"), [("together", "False"), ("as it comes", "True")])
def test_large_pieces_stay_off_the_heap_whatever_was_freed(how: str, on_the_heap: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_THE_HEAP, how], capture_output=True, text=True, timeout=30.0, check=True
    )
    assert done.stdout.strip() == on_the_heap
