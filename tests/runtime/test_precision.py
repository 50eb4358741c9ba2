"""The precision that is chosen, and TF32 as a choice."""

import pytest
import torch

from titokzip.runtime import precision

PRODUCTS, CONVOLUTIONS = torch.backends.cuda.matmul, torch.backends.cudnn


def settings():
    return PRODUCTS.allow_tf32, CONVOLUTIONS.allow_tf32


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_is_one_choice_for_products_and_convolutions(allowed):
    before = settings()
    assert before == (False, True)  # torch's default is a mixture
    with precision.tf32(allowed):
        assert settings() == (allowed, allowed)
        assert precision.tf32_allowed() == allowed
    assert settings() == before
    with pytest.raises(KeyError), precision.tf32(True):
        raise KeyError
    assert settings() == before


@pytest.mark.skipif(not hasattr(PRODUCTS, "fp32_precision"), reason="torch has it since 2.9")
def test_settings_made_by_their_new_names_come_back_too():
    before = PRODUCTS.fp32_precision
    PRODUCTS.fp32_precision = "tf32"  # allow_tf32 can no longer be read
    try:
        assert precision.tf32_allowed()
        with precision.tf32(False):
            assert settings() == (False, False)
            assert not precision.tf32_allowed()
        assert PRODUCTS.fp32_precision == "tf32"
        assert precision.tf32_allowed()
    finally:
        PRODUCTS.allow_tf32 = False
        PRODUCTS.fp32_precision = before
    assert settings() == (False, True)


@pytest.mark.parametrize(
    ("asked", "device", "supported", "chosen"),
    [
        ("auto", "mps", True, "float32"),
        ("auto", "cuda", True, "bfloat16"),
        ("auto", "cuda", False, "float32"),
        ("float32", "cuda", True, "float32"),
        ("bfloat16", "cpu", False, "bfloat16"),
    ],
)
def test_a_gpu_decodes_in_bfloat16_if_it_computes_in_it(
    asked, device, supported, chosen, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert precision.resolve(asked, device) == getattr(torch, chosen)


@pytest.mark.parametrize(
    ("asked", "device", "instructions", "chosen"),
    [
        ("auto", "cpu", {"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ("auto", "cpu", {"avx512_f": True, "avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ("auto", "cpu", {"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ("auto", "cpu", {"avx512_bf16": True, "avx512_fp16": True, "amx_bf16": False}, "float32"),
        ("auto", "cpu", {"avx512_bf16": True, "avx512_fp16": True, "amx_bf16": True}, "bfloat16"),
        ("auto", "cpu", {"architecture": "arm64", "bf16": True, "sve_bf16": True}, "float32"),
        ("auto", "mps", {"avx512_bf16": True}, "float32"),
        ("float32", "cpu", {"avx512_bf16": True}, "float32"),
    ],
)
def test_a_processor_decodes_in_bfloat16_if_it_has_instructions_for_it(
    asked, device, instructions, chosen, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    assert precision.resolve(asked, device) == getattr(torch, chosen)


def test_a_torch_that_reports_no_instructions_decodes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)  # before 2.11
    assert precision.resolve("auto", "cpu") == torch.float32


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is auto, float32 or bfloat16, not 'float8'"):
        precision.resolve("float8", "cpu")
