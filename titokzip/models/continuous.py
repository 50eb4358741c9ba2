"""Released models whose latents are numbers, not tokens; they are refused.

A file could hold those numbers rounded. But their scale is free (a weight of 1e-6 was all that
pulled it towards one), so the steps would have to be measured on the weights, and even at four
bits a number they'd take 256 to 1,024 bytes a tile, where the same picture is 48 to 208 in tokens.
"""

from typing import Final

from titokzip.errors import ModelError

REASON: Final = "it holds continuous latents, and files hold tokens"
INSTEAD: Final = {
    "titok-ll32-vae": "titok-l32",
    "titok-bl64-vae": "titok-bl64",
    "titok-bl128-vae": "titok-bl128",
    "tatitok-bl32-vae": "tatitok-bl32",
    "tatitok-bl64-vae": "tatitok-bl64",
    "tatitok-sl128-vae": "tatitok-bl128",
}


def refuse(name: str) -> None:
    """Refuse a released model by its name if its latents are continuous; do nothing otherwise.

    The name may be the codec's, or the releases' own with underscores and suffixes.

    Raises:
        ModelError: they are; the message names the model to use instead.
    """
    short = name.removeprefix("tokenizer_").replace("_", "-").removesuffix("-imagenet")
    if better := INSTEAD.get(short.removesuffix("-c16")):
        raise ModelError(f"{name}: {REASON}; use {better}")
