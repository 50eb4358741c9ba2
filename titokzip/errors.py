"""Everything titokzip raises on purpose.

TitokzipError
├── FormatError    these bytes are not a .ttk file that this version can read
│   ├── PixelLimitError  it has more pixels than the limit
│   └── Truncated  the file is truncated, and its first layers are intact
├── ImageError   this picture cannot be read, or is of a kind we refuse
├── RateError      no setting reaches the size that was asked for
├── VerificationError  a file does not decode to its tokens: a bug
└── ModelError     no such model, or its weights are absent or not the right ones

A wrong argument is a plain ValueError; a broken invariant is an assert.
"""


class TitokzipError(Exception):
    """Base class: catch this one to catch them all."""


class FormatError(TitokzipError):
    """The bytes are not a .ttk file, are damaged, or are newer than this version."""


class PixelLimitError(FormatError):
    """The image has more pixels than the limit; a larger limit decodes it."""


class Truncated(FormatError):
    """The file ends early; its first layers are intact and can be decoded on request."""


class ImageError(TitokzipError):
    """The picture cannot be read, or holds something that would be lost silently."""


class RateError(TitokzipError):
    """No setting of this model reaches the size that was asked for."""


class ModelError(TitokzipError):
    """The model is unknown, its weights are missing, or they are not the right ones."""


class VerificationError(TitokzipError):
    """A file that was just written does not decode to its tokens: a bug of titokzip."""
