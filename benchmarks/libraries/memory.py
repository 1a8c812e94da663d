"""How the C library of this process treats memory that is freed: as by default, or as sat_exp has it."""

import ctypes

from sat_exp.modules.allocation import MMAP_MAX, TRIM_THRESHOLD, keep_freed_memory

MMAP_THRESHOLD = -3
"""Of glibc's malloc.h, as those of `sat_exp.modules.allocation`."""


def use(*, kept: bool) -> None:
    """Keep freed memory from now on, or give it back as glibc does after some large blocks were freed: blocks above 32
    MB at once, others where more than 64 MB are unused. What is unused now is given back. No effect without glibc."""
    if not keep_freed_memory():
        return
    library = ctypes.CDLL(None)
    if not kept:
        library.mallopt(MMAP_MAX, 65_536)
        library.mallopt(MMAP_THRESHOLD, 32 << 20)
        library.mallopt(TRIM_THRESHOLD, 64 << 20)
    library.malloc_trim(0)
