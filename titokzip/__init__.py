"""Pictures in a few dozen bytes: 1D tokens, entropy-coded, painted back by a ViT.

import titokzip
data = titokzip.compress(image, bpp=0.03)  # PIL.Image to the bytes of a .ttk file
image = titokzip.decompress(data)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from titokzip.errors import FormatError, ImageError, ModelError, RateError, TitokzipError

if TYPE_CHECKING:
    from titokzip.codec import Codec, compress, decompress
    from titokzip.rate_control import Rate

__version__ = "0.1.0"

__all__ = [
    "Codec",
    "FormatError",
    "ImageError",
    "ModelError",
    "Rate",
    "RateError",
    "TitokzipError",
    "compress",
    "decompress",
]

_LAZY = {
    "Codec": "titokzip.codec",
    "compress": "titokzip.codec",
    "decompress": "titokzip.codec",
    "Rate": "titokzip.rate_control",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then (PEP 562): a picture costs torch, `import` does not."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
