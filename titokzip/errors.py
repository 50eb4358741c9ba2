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

Messages quote what files and weights say of themselves, and names of files. None of that may move
the cursor or start a new line, so a message is printable whatever it quotes.
"""


def printable(text: str) -> str:
    """Escape all characters of a text that are not printable: control codes, lone surrogates."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


class TitokzipError(Exception):
    """Base class: catch this one to catch them all."""

    def __str__(self) -> str:
        return printable(super().__str__())


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
