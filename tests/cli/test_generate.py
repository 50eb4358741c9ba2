"""titokzip generate: .ttk files from generators whose weights are at random."""

import json
from dataclasses import replace

import generation_cases
import pytest
import torch
from PIL import Image
from run import files, run
from safetensors.torch import save_file

from titokzip import api, zoo
from titokzip.generation.config import MaskGITConfig, Target, to_config
from titokzip.training.data.tokens import TokenFacts
from titokzip.training.presets import PRESETS
from titokzip.training.tasks.autoregressive import autoregressive
from titokzip.training.tasks.maskgit import maskgit
from titokzip.zoo.catalog import Release
from titokzip.zoo.generators import GENERATORS

TASKS = {"maskgit": maskgit, "uvit": maskgit, "autoregressive": autoregressive}
SHEET = "contact-sheet.png"


def add(manifest, folder, kind="maskgit", name="mine", fingerprint=None, length=6):
    """Add a generator for the tokens of a tokenizer, as training writes it."""
    torch.manual_seed(0)
    recipe = PRESETS[f"{kind}-tiny"]
    recipe = replace(recipe, model=replace(recipe.model, length=length, codebook=64))
    task = TASKS[kind](recipe, 0)
    fingerprint = fingerprint or manifest.fingerprint.hex()
    task.check_tokens(TokenFacts("tiny-6", fingerprint, length, 64, ("cats", "dogs")))
    for parameter in task.parameters():
        parameter.data *= 4  # so that classes tell apart what is sampled
    task.eval().export(folder, name)
    return zoo.add(folder / name)


def released(monkeypatch, folder, kind):
    """Make a generator for tiny-6 known as a release; its weights as their authors lay them out."""
    config = MaskGITConfig(6, 64, 10, kind, 48, 2, 3, 96, target=Target("tiny-6"))
    release = Release("generator-tiny-6", "someone/generator_tiny_6_imagenet", config, 1, None)
    monkeypatch.setitem(GENERATORS, release.name, release)
    folder = folder / "generator_tiny_6_imagenet"
    folder.mkdir()
    save_file(generation_cases.weights(config), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(to_config(config)))
    return folder


def made(out):
    return [(out / name).read_bytes() for name in files(out) if name.endswith(".ttk")]


def tokens_of(path):
    return api.tokens(path.read_bytes()).tokens[0].tolist()


@pytest.mark.parametrize("kind", TASKS)
def test_images_are_written_and_shown(tiny, tmp_path, kind):
    add(tiny, tmp_path, kind)
    out = tmp_path / "out"
    told = run("generate", "-m", "tiny-6", "--class", "1", "-n", "3", "-O", out).stderr
    assert told == f"{out}: 3 images, {SHEET}\n"
    assert files(out) == ["1-0-0000.ttk", "1-0-0001.ttk", "1-0-0002.ttk", SHEET]
    assert len(set(made(out))) > 1
    with Image.open(out / SHEET) as sheet:
        assert sheet.size == (96, 32)
        second = sheet.crop((32, 0, 64, 32))
    run("decompress", out / "1-0-0001.ttk", "-o", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (32, 32)
        assert image.tobytes() == second.tobytes()


def test_an_image_depends_on_its_seed_and_number_alone(tiny, tmp_path):
    add(tiny, tmp_path)
    for out, more in {"a": ["-n", "4"], "b": ["-n", "2"], "c": ["-n", "4", "--seed", "1"]}.items():
        run("generate", "-m", "tiny-6", "-O", tmp_path / out, *more)
    a, b, c = (made(tmp_path / out) for out in "abc")
    assert a[:2] == b
    assert a != c


def test_a_class_has_a_number_or_a_name(tiny, tmp_path):
    add(tiny, tmp_path)
    for out, label in {"a": "1", "b": "dogs", "c": "cats"}.items():
        run("generate", "-m", "tiny-6", "-n", "4", "--class", label, "-O", tmp_path / out)
    assert made(tmp_path / "a") == made(tmp_path / "b") != made(tmp_path / "c")
    for label in ("cows", "4", "-1"):
        told = run("generate", "-m", "tiny-6", f"--class={label}", "-O", tmp_path / "d", code=2)
        assert "among 4; there is cats, dogs" in told.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("kind", TASKS)
def test_the_first_tokens_of_an_image_are_kept(tiny, tmp_path, kind):
    add(tiny, tmp_path, kind)
    run("generate", "-m", "tiny-6", "-n", "1", "--seed", "5", "-O", tmp_path / "start")
    start = tmp_path / "start" / "any-5-0000.ttk"
    more = ["--from", start, "-n", "3", "--keep"]
    for keep in (0, 4, 6):
        run("generate", "-m", "tiny-6", "-O", tmp_path / str(keep), *more, str(keep))
        for name in files(tmp_path / str(keep))[:3]:
            assert name.startswith("any-5-0000-0-000")
            assert tokens_of(tmp_path / str(keep) / name)[:keep] == tokens_of(start)[:keep]
    assert made(tmp_path / "6") == [start.read_bytes()] * 3
    told = run("generate", "-m", "tiny-6", "-O", tmp_path / "d", *more, "7", code=2).stderr
    assert "it has 6 tokens, not 7" in told


def test_what_exists_is_not_overwritten_unless_asked(tiny, tmp_path):
    add(tiny, tmp_path)
    arguments = ["generate", "-m", "tiny-6", "-n", "2", "-O", tmp_path / "out"]
    run(*arguments)
    before = made(tmp_path / "out")
    (tmp_path / "out" / SHEET).write_text("mine")
    assert "exists; -f overwrites it" in run(*arguments, code=4).stderr
    assert (tmp_path / "out" / SHEET).read_text() == "mine"
    run(*arguments, "-f")
    assert made(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("maskgit", ["--from", __file__], "--from and --keep go together"),
        ("maskgit", ["--keep", "2"], "--from and --keep go together"),
        ("maskgit", ["--tokens", "3"], "makes 6 tokens at once"),
        ("maskgit", ["--top-k", "3"], "this generator has no top_k"),
        ("autoregressive", ["--steps", "3"], "this generator has no steps"),
        ("autoregressive", ["--tokens", "7"], "makes 6 tokens, not 7"),
        ("autoregressive", ["--tokens", "3"], "needs all of its 6 tokens"),
        ("autoregressive", ["--top-p", "0"], "top_p is in 0..1"),
    ],
)
def test_wrong_usage_is_refused(tiny, tmp_path, kind, more, message):
    add(tiny, tmp_path, kind)
    told = run("generate", "-m", "tiny-6", "-O", tmp_path / "out", *more, code=2).stderr
    assert message in told
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_start_is_refused(tiny, tmp_path):
    add(tiny, tmp_path)
    (tmp_path / "words.ttk").write_text("words")
    more = ["--from", tmp_path / "words.ttk", "--keep", "1"]
    told = run("generate", "-m", "tiny-6", "-O", tmp_path / "out", *more, code=1).stderr
    assert "not a .ttk file" in told


def test_generators_and_tokenizers_are_told_apart(tiny, tmp_path):
    command = ["generate", "-m", "tiny-6", "-O", tmp_path / "out"]
    assert "no generator for tiny-6 is here" in run(*command, code=3).stderr
    add(tiny, tmp_path, fingerprint="00" * 32, name="other")
    assert "no generator for tiny-6 is here" in run(*command, code=3).stderr
    told = run(*command, "--generator", "other", "-n", "1").stderr
    assert told.startswith("titokzip: other was made for another tokenizer")
    add(tiny, tmp_path, name="longer", length=7)
    told = run(*command, "--generator", "longer", code=3).stderr
    assert "a generator of 7 tokens out of 64, and a tokenizer of 6 out of 64" in told
    assert "a tokenizer, not a generator" in run(*command, "--generator", "tiny-6", code=3).stderr
    assert "a generator of tokens" in run("compress", __file__, "-m", "other", code=3).stderr


@pytest.mark.parametrize("kind", ["bert", "uvit"])
def test_a_released_generator_is_known_by_its_name_and_found_for_its_tokenizer(
    tiny, tmp_path, monkeypatch, kind
):
    folder = released(monkeypatch, tmp_path, kind)
    told = run("generate", "-m", "tiny-6", "-O", tmp_path / "out", code=3).stderr
    assert "`titokzip models pull generator-tiny-6` fetches the released one" in told
    run("models", "add", folder)
    run("models", "verify", "generator-tiny-6")
    run("generate", "-m", "tiny-6", "--class", "9", "-n", "2", "-O", tmp_path / "out")
    assert len(made(tmp_path / "out")) == 2
    config = json.loads((folder / "config.json").read_text())
    config["model"]["generator"]["hidden_size"] = 96
    (folder / "config.json").write_text(json.dumps(config))
    told = run("models", "add", folder, "-f", code=3).stderr
    assert "model.generator describes" in told


def test_released_generators_are_pulled_by_name(tiny, tmp_path):
    command = ["generate", "-m", "tiny-6", "--generator", "generator-titok-l32"]
    told = run(*command, "-O", tmp_path / "out", code=3)
    assert "`titokzip models pull generator-titok-l32` fetches it" in told.stderr
