"""Models to codecs."""

from functools import cache

from titokzip import zoo
from titokzip.codec import Codec
from titokzip.runtime.self_ensemble import checked


def load(
    model: str | zoo.Manifest = zoo.DEFAULT,
    device: str = "auto",
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
    truncate: bool = False,
    lone: bool = False,
    passes: int | None = None,
) -> Codec:
    """Make a codec of a model: its name, the path of its weights, or its manifest.

    `device` is auto, cpu, cuda or mps; `batch` is tiles that the networks see at once; `precision`
    is that of the decoder: auto, float32 or bfloat16; `compiled` is for bulk work; `truncate`
    truncates decoded pixels to 8 bits, as TiTok's evaluator does, instead of rounding them; `lone`
    has the embedded model decode small images without torch, in float32, unless a device or a
    precision is asked for: faster for one image, slower for many. `passes` of its decoder network,
    1 to 8, are averaged; by default small images get more, where the model gains by it. Models of
    tiles have no passes.

    Raises:
        ModelError: it is not here, or damaged.
        ValueError: there is no such device, precision or number of passes.
    """
    passes = checked(passes)
    manifest = zoo.find(model) if isinstance(model, str) else model
    if manifest.kind == zoo.EMBEDDED:
        from titokzip.layouts.transform import load_transform

        transformed = load_transform(manifest, device, precision, compiled, truncate, lone, passes)
        return Codec(manifest.name, manifest.fingerprint, transformed)
    from titokzip.layouts.tiles import load_tiles

    tiled = load_tiles(manifest, device, batch, precision, compiled, truncate)
    return Codec(manifest.name, manifest.fingerprint, tiled)


@cache
def cached(manifest: zoo.Manifest, device: str, passes: int | None) -> Codec:
    """Make a codec of a model once."""
    return load(manifest, device, passes=passes)
