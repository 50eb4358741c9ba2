"""Released FlexTok weights: their names, their config.json, and what is refused."""

from dataclasses import replace

import pytest
import torch
from flextoks import TINY, released_shapes, weights
from releases import listed

from titokzip.errors import ModelError
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.flextok.checkpoint import from_state_dict
from titokzip.tokenizers.flextok.config import check_config
from titokzip.zoo.catalog import RELEASES

# Per released model: tensors, numbers in them, and the start of the sha256 over lines of
# "name [shape]" in order of name, as listed by the official modules put together at their sizes.
LISTED = {
    "flextok-d12-d12": (462, 341_651_737, "5704e2347a5b9926"),
    "flextok-d18-d18": (558, 949_734_553, "a07d8dcb3537e5fa"),
    "flextok-d18-d28": (648, 2_540_882_841, "28acf967f2dd8739"),
    "flextok-d18-d28-dfn": (648, 2_540_882_841, "28acf967f2dd8739"),
}


@pytest.mark.parametrize("name", LISTED)
def test_released_weights_would_fit(name):
    assert listed(released_shapes(RELEASES[name].config)) == LISTED[name]


def test_weights_are_frozen_float_and_not_copied():
    state, name = weights(), "encoder.module_dict.enc_to_latents.proj.weight"
    state[name] = state[name].half()
    model = from_state_dict(TINY, state)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    registers = state["encoder.module_dict.enc_register_module.registers"]
    assert model.encoder.registers.data_ptr() == registers.data_ptr()


def test_what_only_training_needs_is_ignored():
    extra = {"vae.logvar": torch.zeros(()), "decoder.module_dict.dec_repa_head.x": torch.zeros(2)}
    from_state_dict(TINY, weights() | extra)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vae.vae.quant_conv.bias": None}, r"lack vae\.vae\.quant_conv\.bias$"),
        ({"decoder.text": torch.zeros(1)}, r"unexpected decoder\.text$"),
        ({"vae.vae.quant_conv.bias": torch.zeros(3)}, r"shape of vae\.vae\.quant_conv\.bias$"),
    ],
)
def test_wrong_weights_are_named(change, message):
    state = {k: v for k, v in (weights() | change).items() if v is not None}
    with pytest.raises(ModelError, match=message):
        from_state_dict(TINY, state)


def test_weights_of_another_model_are_counted():
    with pytest.raises(ModelError, match=r"lack .* and \d+ more$"):
        from_state_dict(replace(TINY, encoder=ViTConfig(64, 3, 1)), weights())


def config_json(scaling=0.3, levels=(8, 8, 8, 5, 5, 5), **times):
    return {
        "vae": {"_target_": "os.system", "scaling_factor": scaling},
        "regularizer": {"levels": list(levels)},
        "decoder": {"module_dict": {"dec_time_embedder": times}},
    }


def test_config_json_says_what_weights_do_not():
    config = check_config(TINY, config_json(max_timestep=1))
    assert config == replace(TINY, scaling=0.3, max_timestep=1.0)
    assert check_config(TINY, config_json()).max_timestep == 1000  # the official code's default
    known = {"encoder": {"module_dict": {"enc_seq_packer": {"mask_mode": "causal_last"}}}}
    assert check_config(TINY, config_json(max_timestep=1) | known) == config


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (config_json(scaling=None), r"scaling_factor is None, not a number in 1e-6\.\.1e6"),
        (config_json(scaling="${vae.scale}"), "scaling_factor is '.{12}', not a number in"),
        (config_json(scaling=10**400), "scaling_factor is 10{79}, not a number in"),
        (config_json(max_timestep=float("nan")), "max_timestep is nan, not"),
        (config_json(max_timestep=True), "max_timestep is True, not"),
        (config_json(levels=[8, 8, 8, 8]), r"levels is \[8, 8, 8, 8\], not \[8, 8, 8, 5, 5, 5\]"),
        (
            config_json()
            | {"encoder": {"module_dict": {"enc_seq_packer": {"mask_mode": "causal"}}}},
            r"enc_seq_packer\.mask_mode is 'causal', not 'causal_last'",
        ),
        ({}, "regularizer is missing"),
        (config_json() | {"decoder": {"module_dict": []}}, r"module_dict is \[\], not dict"),
    ],
)
def test_configs_that_do_not_say_it_are_refused(wrong, message):
    with pytest.raises(ModelError, match=message):
        check_config(TINY, wrong)


def test_configs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="not whole patches of 2 latents"):
        replace(TINY, size=72)
