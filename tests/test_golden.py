"""Files of earlier versions decode to the tokens that they always had."""

import json

import numpy as np
import pytest
from make_golden import GOLDEN, codecs, described

from titokzip.bitstream import container

RECORDED = json.loads((GOLDEN / "tokens.json").read_text())


def contents(name):
    return container.unpack((GOLDEN / f"{name}.ttk").read_bytes())


@pytest.mark.parametrize("name", list(RECORDED))
def test_golden_files_decode_to_the_same_tokens(name):
    codec = codecs()[name.partition("-")[0]]
    file = contents(name)
    assert described(file, codec.tokens(file)) == RECORDED[name]


@pytest.mark.parametrize("name", list(RECORDED))
def test_golden_files_decode_to_images(name):
    codec = codecs()[name.partition("-")[0]]
    image = codec.decompress((GOLDEN / f"{name}.ttk").read_bytes())
    assert list(image.size) == RECORDED[name]["size"]


def test_every_golden_file_is_recorded():
    assert {path.stem for path in GOLDEN.glob("*.ttk")} == set(RECORDED)


def test_the_first_layers_hold_the_first_tokens():
    file = contents("xs-layers")
    assert file.header.layers == 3
    codec = codecs()["xs"]
    whole = codec.tokens(file)
    for kept in (1, 2):
        part = container.Contents(
            file.header, file.payloads[:kept], file.header_bytes, file.total_bytes
        )
        tokens = codec.tokens(part)
        different = np.flatnonzero(tokens != whole)
        assert len(different)
        assert not tokens[different].any()
