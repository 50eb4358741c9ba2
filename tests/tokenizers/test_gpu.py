"""What a GPU must not be made to wait for or to convert, tested on the meta device.

Meta tensors have shapes and memory layouts like those of CUDA, and no numbers: whatever would wait
for a number raises. TorchDispatchMode sees every operation.
"""

import flextoks
import pytest
import titoks
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from titokzip.tokenizers.checkpoint import fill
from titokzip.tokenizers.flextok.network import FlexTok
from titokzip.tokenizers.layers import GroupNorm
from titokzip.tokenizers.titok.network import TiTok
from titokzip.tokenizers.titok.vqgan import Upsample, VQGANDecoder

LAST = torch.channels_last


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.seen.append(function.overloadpacket.__name__)
        return function(*arguments, **(keywords or {}))


def on_meta(make, config):
    with torch.device("meta"):
        model = make(config)
    return model.requires_grad_(False)


@pytest.mark.parametrize(
    ("make", "config", "size"),
    [
        (TiTok, titoks.TWO_STAGE, 32),
        (TiTok, titoks.DIRECT, 32),
        (TiTok, titoks.TEXT_GUIDED, 32),
        (FlexTok, flextoks.TINY, 64),
    ],
)
def test_nothing_waits_for_the_device(make, config, size):
    model = on_meta(make, config)
    tokens = model.encode(torch.empty(2, 3, size, size, device="meta"))
    assert tokens.device.type == "meta"
    from_file = torch.zeros(2, model.length, dtype=torch.int32)  # on the CPU, where the coder is
    pixels = model.decode_pixels(model.decode_features(from_file))
    assert (pixels.device.type, pixels.shape) == ("meta", (2, 3, size, size))


def test_tokens_are_checked_where_that_costs_nothing():
    model = on_meta(TiTok, titoks.DIRECT)
    with Operations() as operations:
        model.decode_features(torch.zeros(2, 6, dtype=torch.int32, device="meta"))
    assert "_local_scalar_dense" not in operations.seen
    with pytest.raises(ValueError, match=r"must be in 0\.\.63"):
        model.decode_features(torch.full((2, 6), 64))


def test_group_norm_keeps_the_layout():
    norm, x = GroupNorm(4, 8, device="meta"), torch.empty(2, 8, 6, 6, device="meta")
    plain = nn.GroupNorm(4, 8, device="meta")
    assert not plain(x.contiguous(memory_format=LAST)).is_contiguous(memory_format=LAST)
    assert norm(x.contiguous(memory_format=LAST)).is_contiguous(memory_format=LAST)
    assert norm(x).is_contiguous()


def test_group_norm_is_torchs():
    x = torch.rand(2, 8, 6, 6)
    plain, ours = nn.GroupNorm(4, 8), GroupNorm(4, 8)
    for layout in (LAST, torch.contiguous_format):
        laid_out = x.contiguous(memory_format=layout)
        assert torch.equal(ours(laid_out), plain(laid_out))


def test_kernels_are_laid_out_once_where_that_pays():
    model = on_meta(TiTok, titoks.TWO_STAGE)
    state = {
        name: torch.empty(shape) for name, shape in titoks.released_shapes(model.config).items()
    }
    for device, layout in (("meta", LAST), ("cpu", torch.contiguous_format)):
        moved = {name: tensor.to(device) for name, tensor in state.items()}
        fill(model, moved, titoks.released_name)
        kernel = model.pixel_decoder.conv_in.weight
        assert kernel.device.type == device
        assert kernel.is_contiguous(memory_format=layout)


def test_the_constants_of_upsampling_are_made_once():
    model = titoks.build(titoks.TWO_STAGE)
    features = model.decode_features(torch.zeros(1, 6, dtype=torch.int32))
    with Operations() as operations:
        folded = model.decode_pixels(features)
    assert not {"lift_fresh", "mm", "bmm", "kron"} & set(operations.seen)
    for module in model.pixel_decoder.modules():
        if isinstance(module, Upsample):
            module.kernel = None
    with Operations() as operations:
        assert torch.equal(model.decode_pixels(features), folded)
    assert operations.seen.count("mm") == 3  # one for each upsampling


def test_constants_follow_their_network():
    decoder = VQGANDecoder(titoks.VQGAN).requires_grad_(False)
    decoder.fold()
    decoder.to(torch.bfloat16)
    kernels = [module.kernel for module in decoder.modules() if isinstance(module, Upsample)]
    assert [kernel.dtype for kernel in kernels] == [torch.bfloat16] * 3
    assert decoder.to("meta").up[1].upsample.kernel.device.type == "meta"
    assert not any("kernel" in name for name in decoder.state_dict())
