"""What worker processes are asked to do in tests; they import it by its name."""

import os
import signal
import time
from pathlib import Path

from PIL import Image

from titokzip.errors import ImageError


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse():
    raise ImageError("it is no image")


class UnsendableError(Exception):
    def __reduce__(self):
        raise TypeError("not to be sent")


def raise_unsendable():
    raise UnsendableError("it stays")


def read(result):
    """Read the source of a job as a number; some sources kill who reads them."""
    text = result.job.source.read_text()
    if text == "die":
        die()
    return int(text)


class Deadly:
    """Work on a group of files, as `titokzip.batch.whole` has it; some kill who reads them."""

    def __init__(self, tries=0):
        self.tries = tries

    def __call__(self, results, more):
        numbers = []
        for result, one in zip(results, more, strict=True):
            numbers.append(10 * read(result) + one + 1000 * self.tries)
            result.note = "read"
        return numbers

    def again(self):
        return Deadly(self.tries + 1)


def settings():
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return [os.environ.get(name) for name in names], Image.MAX_IMAGE_PIXELS


def decode_large(folder):
    """Decode a "large image" and tell whether somebody else did, too."""
    from titokzip.images import reading

    with reading._alone:
        mark = Path(folder, str(os.getpid()))
        mark.touch()
        time.sleep(0.2)
        alone = len(list(Path(folder).iterdir())) == 1
        mark.unlink()
    return alone


def toy_converter(seen, slow=0.0):
    """Make the converter of an actor on a cluster; it tells its process in a folder."""
    from jobs import SMALL
    from toys import codec

    from titokzip import images
    from titokzip.batch import Options, compress_files
    from titokzip.ray import Converter

    Path(seen, str(os.getpid())).touch()

    def code(jobs):
        for result in compress_files(jobs, codec(), SMALL, Options(threads=1)):
            time.sleep(slow)
            yield result

    return Converter(code, images.SUFFIXES, ".ttk")
