"""An image codec for the lowest bitrates: an image becomes a short row of entropy-coded tokens.

import titokzip

data = titokzip.compress("photo.jpg", max_bytes=400)  # or bytes, an array, a PIL image
image = titokzip.decompress(data)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from titokzip.errors import (
    FormatError,
    ImageError,
    ModelError,
    RateError,
    TitokzipError,
    VerificationError,
)

if TYPE_CHECKING:
    from titokzip.api import compress, compress_many, decompress, decompress_many, to_input, tokens
    from titokzip.codec import Codec
    from titokzip.loading import load
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
    "VerificationError",
    "compress",
    "compress_many",
    "decompress",
    "decompress_many",
    "load",
    "to_input",
    "tokens",
]

_LAZY = {
    "Codec": "titokzip.codec",
    "Rate": "titokzip.rate_control",
    "compress": "titokzip.api",
    "compress_many": "titokzip.api",
    "decompress": "titokzip.api",
    "decompress_many": "titokzip.api",
    "load": "titokzip.loading",
    "to_input": "titokzip.api",
    "tokens": "titokzip.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
