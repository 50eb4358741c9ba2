"""Recipes: presets, TOML files, and what is refused."""

import dataclasses

import pytest

from titokzip.tokenizers.architecture import made
from titokzip.tokenizers.flextok.config import AutoencoderConfig, FlexTokConfig, ScriptConfig
from titokzip.tokenizers.titok.config import TextConfig, TiTokConfig
from titokzip.training.presets import PRESETS
from titokzip.training.recipe import RecipeError, from_toml, to_json, with_setting
from titokzip.zoo.catalog import RELEASES
from titokzip.zoo.generators import GENERATORS


def read(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return from_toml(path, PRESETS)


def test_every_release_has_its_recipes():
    for name, release in RELEASES.items():
        two = isinstance(release.config, TiTokConfig) and release.config.vqgan is not None
        if not name.endswith("-dfn"):
            wanted = {f"{name}-stage1", f"{name}-stage2"} if two else {name}
            assert wanted <= PRESETS.keys()
            assert all(PRESETS[one].model == release.config for one in wanted)
    assert all(PRESETS[name].model == release.config for name, release in GENERATORS.items())


def test_the_published_numbers_are_in_the_recipes():
    first, second = PRESETS["titok-s128-stage1"], PRESETS["titok-s128-stage2"]
    assert (first.steps, first.batch, first.optimization.betas) == (1_000_000, 256, (0.9, 0.99))
    assert (second.steps, second.losses.adversarial.start) == (500_000, 20_000)
    assert second.losses.adversarial.weight == 0.01
    assert second.losses.perceptual.weight == 0.1
    one = PRESETS["tatitok-bl32"]
    assert (one.steps, one.losses.adversarial.start, one.batch) == (650_000, 200_000, 1024)
    assert (one.losses.perceptual.weight, one.losses.perceptual.convnext) == (1.1, 0.1)
    masked = PRESETS["generator-titok-s128"]
    assert (masked.batch, masked.optimization.rate) == (2048, 2e-4)
    assert (masked.losses.smoothing, masked.losses.unmasked) == (0.1, 0.1)


def test_a_toml_file_changes_a_preset(tmp_path):
    recipe = read(
        tmp_path,
        """
        base = "titok-bl64"
        steps = 100
        [model]
        size = 64
        patch = 8
        encoder = {width = 96, depth = 2, heads = 3}
        [losses]
        perceptual.weight = 0
        [optimization]
        rate = 1
        betas = [0.9, 0.95]
        """,
    )
    base = PRESETS["titok-bl64"]
    assert (recipe.steps, recipe.batch) == (100, base.batch)
    assert (recipe.model.size, recipe.model.encoder.width) == (64, 96)
    assert recipe.model.decoder == base.model.decoder
    assert recipe.losses.perceptual.weight == 0.0
    assert (recipe.optimization.rate, recipe.optimization.betas) == (1.0, (0.9, 0.95))
    assert recipe.losses.adversarial == base.losses.adversarial


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 3", "base names a preset"),
        ('base = "nothing"', "base names a preset"),
        ('base = "titok-tiny"\nstep = 3', "step is unknown; there is accumulate"),
        ('base = "titok-tiny"\n[model]\nwidth = 3', r"model\.width is unknown"),
        ('base = "titok-tiny"\nsteps = "3"', "steps is '3', not int"),
        ('base = "titok-tiny"\nsteps = 0', "Recipe: steps, batch"),
        ('base = "titok-tiny"\nprecision = "fp8"', "precision is float32 or bfloat16"),
        ('base = "titok-tiny"\n[model]\nsize = 33', "model: a side of 33"),
        ('base = "titok-tiny"\n[optimization]\nbetas = [0.9]', "betas has 1 values, not 2"),
        ("base = ", "cannot be read as TOML"),
    ],
)
def test_a_wrong_toml_file_is_named(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "recipe.toml") in str(caught.value)


def test_one_thing_is_changed_as_in_toml():
    recipe = with_setting(PRESETS["titok-tiny"], "model.encoder.width=32")
    assert recipe.model.encoder.width == 32
    assert with_setting(recipe, "loading.flip=true").loading.flip
    with pytest.raises(RecipeError, match="not written as in TOML"):
        with_setting(recipe, "steps=many")


def test_a_batch_splits_evenly_or_not_at_all():
    recipe = dataclasses.replace(PRESETS["titok-tiny"], batch=24, accumulate=2)
    assert recipe.micro_batch(3) == 4
    with pytest.raises(RecipeError, match="a batch of 24 does not split among 5 processes"):
        recipe.micro_batch(5)


@pytest.mark.parametrize("name", PRESETS)
def test_architectures_are_read_as_they_are_written(name):
    model = PRESETS[name].model
    assert made(type(model), to_json(PRESETS[name])["model"]) == model


def test_fields_of_several_kinds_are_told_apart_by_their_keys():
    table = {"channels": 4, "scale": 8}
    encoder = {"width": 64, "depth": 1, "heads": 1}
    config = made(FlexTokConfig, {"encoder": encoder, "decoder": encoder, "autoencoder": table})
    assert config.autoencoder == ScriptConfig(4, 8)
    other = made(
        FlexTokConfig, {"encoder": encoder, "decoder": encoder, "autoencoder": {"groups": 8}}
    )
    assert other.autoencoder == AutoencoderConfig(groups=8)
    text = made(TiTokConfig, {"encoder": encoder, "decoder": encoder, "length": 3, "text": {}})
    assert text.text == TextConfig()
