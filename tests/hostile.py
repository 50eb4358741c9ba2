"""Files that are made to harm, and what is expected of whoever reads them."""

import json
import struct

import pytest
from releases import own

from titokzip.errors import ModelError

LONGEST = 600  # characters of a message
ESCAPE = "\x1b[2J\nx"


def refused(work, *arguments, **how):
    """Expect one printable line of bounded length, and no manifest; the line."""
    before = own()
    with pytest.raises(ModelError) as caught:
        work(*arguments, **how)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < LONGEST
    assert own() == before
    return message


def raw(path, header, data=b"", length=None):
    """Write a safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def tensor(dtype="F32", shape=(1,), offsets=(0, 4)):
    """Describe a tensor as the header of a safetensors file does."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}
