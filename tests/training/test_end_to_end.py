"""From images to a tokenizer, its tokens, a generator for them, and back: through the command line.

The models are so small that they learn sixteen images by heart within minutes.
"""

import json

import pytest
import scripts
from photos import psnr
from PIL import Image
from run import run

from titokzip import api

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))


def trained(preset, data, folder, *more, name=None):
    """Train a preset; the folder of the model, which is added under its name."""
    name = name or preset
    run("train", preset, "--data", data, "--out", folder / f"run-{name}", "--name", name,
        "--threads", "1", *more)  # fmt: skip
    return folder / f"run-{name}" / name


def added(model):
    run("models", "add", model)
    run("models", "verify", model.name)
    return model.name


def validation(model):
    lines = (model.parent / "log.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == "validation"]


def decoded(model, source, folder, *more):
    """Compress an image and decompress it again, in dB."""
    run("compress", source, "-m", model, "-o", folder / "a.ttk", "-f", *more)
    run("decompress", folder / "a.ttk", "-o", folder / "a.png", "-f")
    with Image.open(source) as image, Image.open(folder / "a.png") as other:
        return psnr(image, other)


def row(path):
    return tuple(api.tokens(path.read_bytes()).tokens[0].tolist())


def check_generator(tokenizer, generator, folder, tmp_path, *more):
    """Expect a trained generator to sample rows that it was trained on, of the class asked for."""
    rows = {"cats": set(), "dogs": set()}
    for source in sorted(folder.rglob("*.png")):
        run("compress", source, "-m", tokenizer, "-o", tmp_path / "a.ttk", "-f")
        rows[source.parent.name].add(row(tmp_path / "a.ttk"))
    for label, own in rows.items():
        out = tmp_path / label
        run("generate", "-m", tokenizer, "--generator", generator, "--class", label, "-n", "16",
            "-O", out, *more)  # fmt: skip
        sampled = [row(path) for path in sorted(out.glob("*.ttk"))]
        assert sum(one in own for one in sampled) >= 10
        assert len(set(sampled)) > 2


def test_a_one_stage_titok_and_its_maskgit(folder, tmp_path):
    name = added(trained("titok-tiny", folder, tmp_path, "--steps", "800"))
    for source in folder.rglob("*.png"):
        assert decoded(name, source, tmp_path) > 24
    run("tokens", folder, "-m", name, "-o", tmp_path / "t.npy")
    more = ["--steps", "600", "--set", "loading.held_out=0.0"]
    generator = added(trained("maskgit-tiny", tmp_path / "t.npy", tmp_path, *more))
    # More steps than tokens: in the last of fewer steps, some would be chosen without the others.
    check_generator(name, generator, folder, tmp_path, "--temperature", "1", "--steps", "64")


def test_a_two_stage_titok(folder, tmp_path):
    vqgan = trained("titok-tiny-vqgan", folder, tmp_path)
    assert validation(vqgan)[-1]["psnr"] > 24
    weights = ["--vqgan", vqgan / "model.safetensors"]
    first = trained("titok-tiny-stage1", folder, tmp_path, *weights)
    measured = validation(first)
    assert measured[-1]["cross_entropy"] < measured[0]["cross_entropy"]
    assert measured[-1]["codes_right"] > 0.5
    second = trained("titok-tiny-stage2", folder, tmp_path, *weights, "--init", first)
    name = added(second)
    for source in folder.rglob("*.png"):
        assert decoded(name, source, tmp_path) > 24


def halved(folder, out):
    """Write the images of a folder at half their size."""
    for source in sorted(folder.rglob("*.png")):
        target = out / source.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(source) as image:
            image.reduce(2).save(target)
    return out


def flextok(folder, out, *more):
    """Train a FlexTok in the latents of an autoencoder that only rearranges pixels."""
    autoencoder = scripts.write(scripts.Shuffle(), out / "shuffle.pt")
    more = ["--autoencoder", autoencoder, "--set", "model.size=16", *more]
    return trained("flextok-tiny", folder, out, *more)


def nearness(model, folder, out, count):
    """Mean PSNR of all images from so many tokens."""
    sources = sorted(folder.rglob("*.png"))
    return sum(decoded(model, one, out, "--tokens", count) for one in sources) / len(sources)


def test_more_tokens_of_a_flextok_are_nearer(folder, tmp_path):
    """A token of four values cannot tell sixteen images apart, and four tokens can."""
    folder = halved(folder, tmp_path / "images")
    more = ["--steps", "2000", "--set", "model.levels=[4]"]
    name = added(flextok(folder, tmp_path, *more))
    one, four, sixteen = (nearness(name, folder, tmp_path, count) for count in ("1", "4", "16"))
    assert min(four, sixteen) > one + 1


def test_a_flextok_and_its_autoregressive_generator(folder, tmp_path):
    folder = halved(folder, tmp_path / "images")
    model = flextok(folder, tmp_path, "--steps", "800")
    measured = validation(model)
    assert measured[-1]["flow"] < measured[0]["flow"] / 4
    name = added(model)
    for count in ("1", "4", "16"):  # each is enough to tell sixteen images apart
        assert nearness(name, folder, tmp_path, count) > 18
    run("tokens", folder, "-m", name, "-o", tmp_path / "t.npy")
    more = ["--set", "model.codebook=320", "--set", "loading.held_out=0.0"]
    generator = added(trained("autoregressive-tiny", tmp_path / "t.npy", tmp_path, *more))
    check_generator(name, generator, folder, tmp_path)
    run("generate", "-m", name, "-n", "2", "--tokens", "4", "-O", tmp_path / "four")
    for path in (tmp_path / "four").glob("*.ttk"):
        assert len(row(path)) == 4
