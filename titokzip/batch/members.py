"""The files in a shard: read in order and within bounds, and written."""

import tarfile
from collections.abc import Iterator
from copy import copy
from typing import IO, Final, Self

from titokzip.bitstream import container
from titokzip.errors import TitokzipError

BLOCK: Final = tarfile.BLOCKSIZE
_MOST_SAMPLE: Final = 2**31  # bytes of all files of a sample
_MOST_HEADER: Final = 2**20  # bytes of a long name, or of what else a member says of itself
_LONG_HEADERS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)

Member = tuple[tarfile.TarInfo, bytes]


def members(file: IO[bytes]) -> Iterator[Member]:
    """Read the files of a shard in order, those of a sample up to a limit of bytes.

    Raises:
        TitokzipError: a sample has more, or a .ttk file or a header has.
    """
    sample, held = "", 0
    with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Header) as tar:
        for info in tar:
            tar.members = []  # type: ignore[attr-defined]  # it keeps them all otherwise
            if info.isfile():
                key = key_of(info.name)
                sample, held = key, info.size + held * (key == sample)
                if held > _MOST_SAMPLE or (
                    suffix_of(info.name) == ".ttk" and info.size > container.MAX_BYTES
                ):
                    raise TitokzipError(f"{info.name}: {held:,} bytes of a sample are too many")
                stream = tar.extractfile(info)
                assert stream, "files have contents"
                yield info, stream.read()


class _Header(tarfile.TarInfo):
    """A header of a tar; tarfile holds what follows a long one in memory, whatever its size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            TitokzipError: what follows is too long for a header.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.type in _LONG_HEADERS and header.size > _MOST_HEADER:
            raise TitokzipError(f"{header.size:,} bytes of a header are too many")
        return header


def key_of(name: str) -> str:
    """Take the key of a member, as WebDataset does: up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def suffix_of(name: str) -> str:
    """Take the suffix of a member, in lower case."""
    return "." + name.rpartition("/")[2].rpartition(".")[2].lower()


def renamed(info: tarfile.TarInfo, suffix: str) -> tarfile.TarInfo:
    """Give a member another suffix."""
    named = copy(info)
    named.name = info.name.rpartition(".")[0] + suffix
    named.pax_headers = {}
    return named


def written(info: tarfile.TarInfo, data: bytes) -> Iterator[bytes]:
    """Write one file of a tar: a header, its contents, and zeros to a whole block."""
    sized = copy(info)
    sized.size = len(data)
    yield sized.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % BLOCK)
