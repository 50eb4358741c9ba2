"""Many files: find them, read ahead, batch across them, write each whole or not at all.

    paths ─ find ─▶ Found ─ pair ─▶ Job ─ read ─▶ work ─ write ─▶ Result

Reading and writing run in threads beside the codec, or in processes, where whatever needs no shared
network happens, too. A file that fails is reported, and the others are done.
"""

from titokzip.batch.coding import compress_files, decompress_files
from titokzip.batch.jobs import Job, Options, Result
from titokzip.batch.models import Models
from titokzip.batch.planning import Found, find, is_done, pair

__all__ = [
    "Found",
    "Job",
    "Models",
    "Options",
    "Result",
    "compress_files",
    "decompress_files",
    "find",
    "is_done",
    "pair",
]
