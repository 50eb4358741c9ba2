"""Weights that were made to harm: each ends in one line, within memory.

A file is hostile, not damaged: its checksums are right and its format is valid. What it says is
absurd, of another type, not finite, or endless.
"""

import io
import pickle
import struct
import zipfile

import pytest
import torch
from hostile import ESCAPE, raw, refused, tensor
from safetensors.torch import save_file
from titoks import DIRECT, weights

from titokzip import zoo

pytestmark = pytest.mark.usefixtures("known", "bounded")

NAME = "encoder.ln_pre.bias"  # a tensor [32] of the tiny release

# Tensors of safetensors files

TENSORS = {
    "int8": torch.zeros(32, dtype=torch.int8),
    "int64": torch.zeros(32, dtype=torch.int64),
    "uint8": torch.zeros(32, dtype=torch.uint8),
    "bool": torch.zeros(32, dtype=torch.bool),
    "complex": torch.zeros(32, dtype=torch.complex64),
    "float8 e4m3": torch.zeros(32, dtype=torch.float8_e4m3fn),
    "float8 e5m2": torch.zeros(32, dtype=torch.float8_e5m2),
    "scalar": torch.zeros(()),
    "empty": torch.zeros(0),
    "one more axis": torch.zeros(32, 1),
    "NaN": torch.full((32,), float("nan")),
    "one NaN": torch.tensor([0.0] * 31 + [float("nan")]),
    "infinite": torch.tensor([float("inf")] + [0.0] * 31),
    "minus infinite": torch.tensor([0.0] * 31 + [float("-inf")], dtype=torch.bfloat16),
    "infinite in half": torch.tensor([float("inf")] + [0.0] * 31, dtype=torch.float16),
}


@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_tensors_of_another_kind(tmp_path, kind, suffix):
    path = tmp_path / f"tiny-6.{suffix}"
    state = weights(DIRECT) | {NAME: TENSORS[kind]}
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    message = refused(zoo.add, path)
    assert NAME in message or (suffix == "bin" and "float8" in kind)  # its pickle is another


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_of_any_width_is_taken(tmp_path, dtype):
    save_file(
        weights(DIRECT) | {NAME: torch.zeros(32, dtype=dtype)}, tmp_path / "tiny-6.safetensors"
    )
    tokenizer = zoo.load_tokenizer(zoo.add(tmp_path / "tiny-6.safetensors"))
    assert {parameter.dtype for parameter in tokenizer.parameters()} == {torch.float32}


HEADERS = {
    "absurd length": (b"{}", 1 << 62),
    "long length": (b"{}", 1 << 40),
    "a long header": (b'{"__metadata__":{"a":"' + b"x" * (9 << 20) + b'"}}', None),
    "deep": (b"[" * 100_000, None),
    "a list": (b"[]", None),
    "an absurd shape": ({"a": tensor(shape=(1 << 40, 1 << 40))}, None),
    "a negative shape": ({"a": tensor(shape=(-1,))}, None),
    "offsets beyond the end": ({"a": tensor(shape=(1 << 30,), offsets=(0, 4 << 30))}, None),
    "offsets backwards": ({"a": tensor(offsets=(4, 0))}, None),
    "an unknown type": ({"a": tensor("F4096")}, None),
    "four bits": ({"a": tensor("F4", (8,))}, None),
    "a name of escape codes": ({ESCAPE: tensor()}, None),
    "a long name": ({"a" * 100_000: tensor()}, None),
    "many names": ({f"{i}": tensor(offsets=(4 * i, 4 * i + 4)) for i in range(10_000)}, None),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_are_absurd(tmp_path, kind):
    header, length = HEADERS[kind]
    refused(zoo.add, raw(tmp_path / "tiny-6.safetensors", header, bytes(40_000), length))


# Pickles


class Calls:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.how = function, arguments

    def __reduce__(self):
        return self.how


class Subclass(torch.Tensor):
    pass


def nested():
    return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])


def quantized():
    return torch.quantize_per_tensor(torch.zeros(32), 0.1, 0, torch.quint8)


def endless():
    """A list in a list in a list."""
    inner = []
    for _ in range(200):
        inner = [inner]
    return inner


PICKLES = {
    "sparse": lambda: torch.zeros(32).to_sparse(),
    "sparse rows": lambda: torch.zeros(4, 8).to_sparse_csr(),
    "quantized": quantized,
    "nested": nested,
    "meta": lambda: torch.zeros(32, device="meta"),
    "a subclass": lambda: torch.zeros(32).as_subclass(Subclass),
    "a huge view": lambda: torch.zeros(1).expand(1 << 50),
    "a gigabyte": lambda: Calls(bytearray, 1 << 30),
    "a function": lambda: Calls(exec, "raise SystemExit('harm')"),
    "a list of lists": endless,
    "a number": lambda: 6,
    "text": lambda: ESCAPE,
}


@pytest.mark.filterwarnings("ignore")  # torch warns of formats that it gives up
@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_of_other_things(tmp_path, kind, legacy):
    state = weights(DIRECT) | {NAME: PICKLES[kind]()}
    try:
        torch.save(state, tmp_path / "tiny-6.bin", _use_new_zipfile_serialization=not legacy)
    except RuntimeError:
        pytest.skip("torch cannot write it so")
    refused(zoo.add, tmp_path / "tiny-6.bin")


@pytest.mark.parametrize("state", [{1: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1), None])
def test_pickles_of_no_state_dict(tmp_path, state):
    torch.save(state, tmp_path / "tiny-6.bin")
    refused(zoo.add, tmp_path / "tiny-6.bin")


def archive(path, pickled, compression=zipfile.ZIP_STORED):
    """Write the archive that torch would, around a pickle."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("tiny-6/data.pkl", pickled)
        file.writestr("tiny-6/byteorder", "little")
        file.writestr("tiny-6/version", "3\n")
    return path


ARCHIVES = {
    "a compressed gigabyte": (lambda: bytes(1 << 28), zipfile.ZIP_DEFLATED),
    "a long pickle": (lambda: pickle.dumps("x" * (9 << 20), 2), zipfile.ZIP_STORED),
    "a computed name": (lambda: pickle.dumps(Calls(bytearray, 9), 4), zipfile.ZIP_STORED),
    "a deep pickle": (lambda: b"\x80\x02" + b"(" * 100_000 + b".", zipfile.ZIP_STORED),
    "an endless pickle": (lambda: b"\x80\x02", zipfile.ZIP_STORED),
    "no pickle": (lambda: b"harm", zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_that_grow_when_they_are_read(tmp_path, kind):
    make, compression = ARCHIVES[kind]
    refused(zoo.add, archive(tmp_path / "tiny-6.bin", make(), compression))


def test_a_file_of_pickles_that_takes_a_gigabyte(tmp_path):
    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {}, Calls(bytearray, 1 << 30)):
        pickle.dump(part, file, 2)
    (tmp_path / "tiny-6.bin").write_bytes(file.getvalue())
    assert "bytearray" in refused(zoo.add, tmp_path / "tiny-6.bin")


def test_a_file_of_pickles_of_a_long_text(tmp_path):
    with (tmp_path / "tiny-6.bin").open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {}):
            pickle.dump(part, file, 2)
        file.write(b"\x80\x02X" + struct.pack("<I", 1 << 30))  # BINUNICODE of a gigabyte
        file.truncate(file.tell() + (1 << 30))  # which takes no room on the disk
    refused(zoo.add, tmp_path / "tiny-6.bin")
