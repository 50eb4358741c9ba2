"""Variable-length integers, and a reader that never runs past the end of its bytes."""

from titokzip.errors import FormatError


def varint(value: int) -> bytes:
    """Write a number below 2^28 in the fewest bytes: seven bits each, the lowest first."""
    if not 0 <= value < 2**28:
        raise ValueError(f"{value} does not fit a varint")
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)


class ByteReader:
    """Reads fields off the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def left(self) -> int:
        """Count the bytes that are not read yet."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """Read so many bytes.

        Raises:
            FormatError: there are fewer.
        """
        if not 0 <= count <= self.left:
            raise FormatError("damaged or truncated: the file ends inside its header")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        """Read a number; the inverse of `varint`.

        Raises:
            FormatError: it is longer than four bytes, or than it needs to be.
        """
        value = 0
        for shift in range(0, 28, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                if not byte and shift:
                    break  # a byte more than it needs
                return value
        raise FormatError("damaged: a number in the header is too long")
