"""Everything that titokzip raises on purpose.

TitokzipError
├── FormatError        the bytes are not a .ttk file that this version reads
│   └── Truncated      the file is cut short, and its first layers are intact
├── ImageError         the image cannot be read or written, or would lose something silently
│   └── Transparent    it has transparent pixels, and there is no background to lay it on
├── PixelLimitError    more pixels than the limit; it is a FormatError and an ImageError
├── RateError          no setting reaches the size that was asked for
├── ModelError         the model is unknown, or its weights are missing or wrong
├── VerificationError  what was written does not read back as what was meant
├── WorkerDied         the process that worked on it was killed, or crashed
└── OutputExists       the output exists, and nobody asked to replace it
    └── OutputIsInput  it is the very file that is read

A wrong argument is a plain ValueError; a broken invariant is an assert. Messages name no option of
the command line: `titokzip.cli.output` adds it. They quote what files and weights say of
themselves, and names of files; none of that may move the cursor or start a new line, so a message
is printable whatever it quotes.
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


class Truncated(FormatError):
    """The file ends early; its first layers are intact and can be decoded on request."""


class ImageError(TitokzipError):
    """The image cannot be read or written, or holds something that would be lost silently."""


class Transparent(ImageError):
    """The image has transparent pixels, and no background was given to lay it on."""


class PixelLimitError(FormatError, ImageError):
    """The image, or the .ttk file, has more pixels than the limit."""


class RateError(TitokzipError):
    """No setting of this model reaches the size that was asked for."""


class ModelError(TitokzipError):
    """The model is unknown, its weights are missing, or they are not the right ones."""


class VerificationError(TitokzipError):
    """What was written does not read back as what was meant; the source is kept."""


class WorkerDied(TitokzipError):
    """The process that worked on it was killed, or crashed; others go on."""


class OutputExists(TitokzipError):
    """The output exists, and overwriting it was not asked for."""


class OutputIsInput(OutputExists):
    """The output is the very file that is read; nothing may overwrite it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: Python's, NumPy's, or a device's by way of torch."""
    if isinstance(error, MemoryError):
        return True
    name, text = type(error).__name__, str(error)
    return isinstance(error, RuntimeError) and (
        name == "OutOfMemoryError" or "can't allocate memory" in text or "out of memory" in text
    )
