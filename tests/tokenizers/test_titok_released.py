"""Released weights: the official codes' recorded answers, names, and what is refused."""

from dataclasses import replace

import pytest
import torch
from releases import listed
from titoks import DIRECT, TWO_STAGE, build, images, released_shapes, weights

from titokzip.errors import ModelError
from titokzip.tokenizers.titok.checkpoint import from_state_dict
from titokzip.tokenizers.titok.config import SMALL, TextConfig, TiTokConfig, from_config
from titokzip.zoo.catalog import CONTINUOUS_VARIANTS, RELEASES, refuse_continuous

# Recorded by running the official codes (bytedance/1d-tokenizer @ 942a96f and turingmotors/
# One-D-Piece @ 473665d, torch 2.13, CPU) with `weights` of the same configuration and
# `images(2, 64)`: the tokens, and the pixels [1, :, 34, 7::31] that they decode from so many of
# them and a text. The nearest miss of a token is 1e-3 in squared distance, where machines differ
# by 1e-6. The two-stage TiTok's own answers are those of One-D-Piece with all tokens.
ONE_D_PIECE_64 = TiTokConfig(SMALL, SMALL, length=16, codebook=512, size=64, prefix_decodable=True)
DIRECT_64 = TiTokConfig(
    SMALL, SMALL, 16, 512, 64, size=64, normalized=False, is_legacy=False, vqgan=None
)
TATITOK_64 = replace(DIRECT_64, text=TextConfig())
LEGACY_TOKENS = [
    [154, 251, 443, 445, 141, 432, 151, 422, 200, 280, 449, 166, 498, 139, 393, 243],
    [450, 179, 225, 24, 454, 187, 225, 20, 200, 375, 439, 364, 75, 172, 408, 381],
]
PLAIN_TOKENS = [
    [479, 369, 460, 312, 202, 175, 369, 80, 142, 369, 460, 363, 417, 141, 479, 9],
    [417, 392, 392, 239, 316, 417, 417, 315, 499, 38, 405, 417, 417, 141, 315, 141],
]
TEXT = images(2, 768)[:, 0, :77]
PREFIXES = [
    (16, None, [0.2173, -1.3557, 0.1338, 0.6852, -1.2098, -1.5124]),
    (5, None, [0.2987, -1.3328, 0.319, 0.8142, -1.2605, -1.5187]),
    (1, None, [0.3794, -1.5733, 0.3831, 0.909, -1.4584, -1.4415]),
]
DIRECT_PIXELS = [(16, None, [-2.2848, -1.7756, -0.5194, 1.409, 0.1388, 0.4362])]
GUIDED = [
    (16, TEXT, [-3.7031, -2.5865, 0.5988, -0.0151, 1.5739, -0.1255]),
    (16, None, [-1.0569, -0.9007, 0.5789, 0.738, 2.1652, 0.5439]),  # zeros in the official code
]


@pytest.mark.parametrize(
    ("config", "tokens", "decodings"),
    [
        (ONE_D_PIECE_64, LEGACY_TOKENS, PREFIXES),
        (DIRECT_64, PLAIN_TOKENS, DIRECT_PIXELS),
        (TATITOK_64, PLAIN_TOKENS, GUIDED),
    ],
    ids=["two-stage and One-D-Piece", "direct", "TA-TiTok"],
)
def test_official_code_gives_the_same_tokens_and_pixels(config, tokens, decodings):
    model = build(config)
    assert model.encode(images(2, 64)).tolist() == tokens
    for kept, text, expected in decodings:
        decoded = model.decode_pixels(model.decode_features(torch.tensor(tokens)[:, :kept], text))
        some = decoded[1, :, 34, 7::31].flatten()
        torch.testing.assert_close(some, torch.tensor(expected), rtol=0, atol=3e-4)


# Per released model: tensors, numbers in them, and the start of the sha256 over lines of
# "name [shape]" in order of name, all as listed by the official code's state dict.
LISTED = {
    "titok-l32": (692, 641_054_735, "1674cc1abb3a3a48"),
    "titok-b64": (404, 204_814_095, "f47c46e99b6f254a"),
    "titok-s128": (308, 83_674_639, "7e528cce79bab504"),
    "titok-bl64": (459, 390_016_148, "eb63d563480c39ca"),
    "titok-bl128": (459, 390_179_988, "6d19660dbb9f5eb7"),
    "titok-sl256": (411, 330_260_884, "f77c93fec7d5a2ee"),
    "tatitok-bl32": (462, 390_800_532, "60cb4dc221f9500d"),
    "tatitok-bl64": (462, 390_882_452, "30ca817ce8ed0947"),
    "tatitok-bl128": (462, 391_046_292, "8735d412802b5d6b"),
    "one-d-piece-s-256": (308, 83_871_247, "404940b919d66aa3"),
    "one-d-piece-b-256": (404, 205_256_463, "f351a50822cc20f8"),
    "one-d-piece-l-256": (692, 641_742_863, "4c7377152e50b67a"),
}


@pytest.mark.parametrize("name", LISTED)
def test_released_weights_would_fit(name):
    assert listed(released_shapes(RELEASES[name].config)) == LISTED[name]


def test_weights_are_frozen_float_and_not_copied():
    state = weights(DIRECT)
    state["encoder.conv_out.weight"] = state["encoder.conv_out.weight"].half()
    model = from_state_dict(DIRECT, state)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.encoder.latents.data_ptr() == state["latent_tokens"].data_ptr()


def test_usage_statistics_of_training_are_ignored():
    from_state_dict(DIRECT, weights(DIRECT) | {"quantize.embed_prob": torch.zeros(64)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_tokens": None}, r"lack latent_tokens$"),
        ({"decoder.text": torch.zeros(1)}, r"unexpected decoder\.text$"),
        ({"latent_tokens": torch.zeros(7, 32)}, r"another shape of latent_tokens$"),
    ],
)
def test_wrong_weights_are_named(change, message):
    state = {k: v for k, v in (weights(DIRECT) | change).items() if v is not None}
    with pytest.raises(ModelError, match=message):
        from_state_dict(DIRECT, state)


def test_weights_of_another_model_are_counted():
    with pytest.raises(ModelError, match=r"lack .* and \d+ more$"):
        from_state_dict(TWO_STAGE, weights(DIRECT))


def config_json(**vq):
    """The config.json of the first released weights, with changes."""
    first = {
        "codebook_size": 4096,
        "token_size": 12,
        "use_l2_norm": True,
        "commitment_cost": 0.25,
        "vit_enc_model_size": "large",
        "vit_dec_model_size": "large",
        "vit_enc_patch_size": 16,
        "vit_dec_patch_size": 16,
        "num_latent_tokens": 32,
    }
    return {
        "experiment": {},
        "model": {
            "vq_model": first | vq,
            "generator": {"image_seq_len": "${model.vq_model.num_latent_tokens}"},
        },
        "dataset": {"preprocessing": {"crop_size": 256}},
    }


BL64 = {
    "codebook_size": 8192,
    "token_size": 64,
    "use_l2_norm": False,
    "vit_enc_model_size": "base",
    "num_latent_tokens": 64,
    "finetune_decoder": False,
    "is_legacy": False,
}
ONE_D_PIECE_L = {"num_latent_tokens": 256, "strict_length_assertion": False}


@pytest.mark.parametrize(
    ("name", "vq"),
    [
        ("titok-l32", {}),
        ("titok-l32", {"quantize_mode": "vq", "finetune_decoder": True, "is_legacy": True}),
        ("titok-bl64", BL64),
        ("tatitok-bl64", BL64 | {"clustering_vq": False}),
        ("one-d-piece-l-256", ONE_D_PIECE_L),
    ],
)
def test_configs_are_read_as_the_official_code_reads_them(name, vq):
    """What the first configs leave out means legacy: the is_legacy reshape and the VQGAN."""
    config = RELEASES[name].config
    assert from_config(config_json(**vq), text=config.text is not None) == config


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (config_json(token_size="12"), r"^model\.vq_model\.token_size is '12', not int$"),
        (config_json(use_l2_norm=1), r"^model\.vq_model\.use_l2_norm is 1, not bool$"),
        (
            config_json(num_latent_tokens="${a}"),
            r"^model\.vq_model\.num_latent_tokens is '\$\{a\}', not int$",
        ),
        (config_json(codebook_size=None), r"^model\.vq_model\.codebook_size is None, not int$"),
        (config_json(vit_enc_model_size="huge"), r"there is no such model \('huge'\)$"),
        (config_json(vit_enc_patch_size=8), r"encoder patches of 8, decoder patches of 16$"),
        (config_json(vit_enc_patch_size=0, vit_dec_patch_size=0), r"there is no such model"),
        (
            config_json(finetune_decoder=False),
            r"is_legacy True and finetune_decoder False: a stage-1 model",
        ),
        (config_json(quantize_mode="vae"), r"quantize_mode is 'vae': its latents are continuous"),
        (config_json() | {"dataset": {}}, r"^dataset\.preprocessing is missing$"),
        (
            config_json() | {"dataset": {"preprocessing": {}}},
            r"^dataset\.preprocessing\.crop_size is mi",
        ),
        ({}, r"^model is missing$"),
        ({"model": 7}, r"^model is 7, not dict$"),
    ],
)
def test_wrong_configs_are_named(wrong, message):
    with pytest.raises(ModelError, match=message):
        from_config(wrong)


@pytest.mark.parametrize(
    "name", [*CONTINUOUS_VARIANTS, "titok_bl64_vae_c16", "tokenizer_tatitok_sl128_vae"]
)
def test_continuous_models_are_refused_by_name(name):
    with pytest.raises(
        ModelError, match=rf"^{name}: its latents are continuous.*; use [a-z0-9-]+$"
    ):
        refuse_continuous(name)


def test_other_models_are_not_refused():
    for name in (*RELEASES, *CONTINUOUS_VARIANTS.values(), "xs"):
        refuse_continuous(name)
