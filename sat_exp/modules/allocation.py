"""The memory of this process on a CPU."""

import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of `mallopt`, as in glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Let this process reuse what it frees, instead of giving it back to the system; False where the C library has no
    `mallopt`.

    Every step of an attack allocates the activations that the step before has freed. glibc gives freed blocks above 32
    MB back at once, and the system clears each page of the next block: up to a quarter of the time of a step. Results
    do not change. The process stays as large as it once was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl and macOS; Windows
        return False
    return bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, -1))
