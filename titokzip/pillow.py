"""The Pillow plugin: Image.open and Image.save for .ttk files.

import titokzip.pillow
titokzip.pillow.register()
Image.open("photo.ttk").size  # reads the header only, no torch
image.save("photo.ttk", quality=40)
"""

from typing import IO, Any

from PIL import Image, ImageFile

from titokzip.bitstream import container
from titokzip.bitstream.header import START, read_header
from titokzip.bitstream.varint import ByteReader
from titokzip.errors import FormatError, Truncated

FORMAT = "TTK"
EXTENSION = ".ttk"
MIME = "image/x-ttk"
_OPTIONS = {"quality", "bpp", "max_bytes", "tokens", "tile", "best"}
_OPTIONS |= {"background", "model", "device"}


class TtkImageFile(ImageFile.ImageFile):
    """A .ttk file; its pixels are decoded when they are first asked for.

    A file that is cut short is opened, and `load` raises an OSError that says how many of its
    layers are intact. With Pillow's `ImageFile.LOAD_TRUNCATED_IMAGES` it decodes those. Pillow's
    own limit on pixels holds, and no other.
    """

    format = FORMAT
    format_description = "titokzip image"
    _data = b""  # until it is decoded

    def _open(self) -> None:
        assert self.fp is not None, "Pillow opens the file first"
        self._data = self.fp.read()
        try:
            header = read_header(ByteReader(self._data))
        except FormatError as error:
            raise SyntaxError(str(error)) from error  # Pillow's word for "not mine"
        self._size = (header.width, header.height)
        self._mode = ("L" if header.grey else "RGB") + "A" * header.alpha
        self.tile = []

    def load(self) -> Any:
        """Decode the pixels, once.

        Raises:
            OSError: the file is damaged or cut short.
        """
        if self._data:
            self.im, self._data = self._decoded().im, b""
            if self.fp and self._exclusive_fp:
                self.fp.close()
        return super().load()

    def _decoded(self) -> Image.Image:
        from titokzip.api import decompress

        partial = ImageFile.LOAD_TRUNCATED_IMAGES
        pixels = max(container.MAX_PIXELS, self.width * self.height)
        try:
            return decompress(self._data, partial=partial, max_pixels=pixels)
        except Truncated as error:
            intact = str(error).partition(";")[0]
            raise OSError(f"{intact}; ImageFile.LOAD_TRUNCATED_IMAGES decodes them") from error
        except FormatError as error:
            raise OSError(str(error)) from error  # Pillow's word for "damaged"


def register() -> None:
    """Teach Pillow to open and save .ttk files; calling it again changes nothing."""
    Image.register_open(FORMAT, TtkImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(START)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Save with the keywords of `titokzip.compress`: quality, bpp, max_bytes and so on."""
    from titokzip.api import compress

    given = {key: value for key, value in image.encoderinfo.items() if key in _OPTIONS}
    file.write(compress(image, **given))
