"""Forked processes after a network was used.

OpenMP keeps a pool of threads, and threads do not survive a fork: the child would wait for them for
ever. With one thread it asks for none.
"""

import os
from functools import cache


@cache
def survive_forks() -> None:
    """Have every process that is forked from now on run torch in one thread; imports torch."""
    import torch

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
