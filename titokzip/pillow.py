"""The Pillow plugin: Image.open and Image.save for .ttk files.

import titokzip.pillow
titokzip.pillow.register()
Image.open("photo.ttk").size  # reads the header only, no torch
image.save("photo.ttk", quality=40)
"""

from typing import IO, Any

from PIL import Image, ImageFile

from titokzip.bitstream import container
from titokzip.bitstream.header import START
from titokzip.errors import FormatError

FORMAT = "TTK"
EXTENSION = ".ttk"
MIME = "image/x-ttk"


class TtkImageFile(ImageFile.ImageFile):
    """A .ttk file; its pixels are painted when they are first asked for."""

    format = FORMAT
    format_description = "titokzip picture"
    _data = b""  # until it is painted

    def _open(self) -> None:
        assert self.fp is not None, "Pillow opens the file first"
        self._data = self.fp.read()
        try:
            header = container.unpack(self._data).header
        except FormatError as error:
            raise SyntaxError(str(error)) from error  # Pillow's word for "not mine"
        self._size = (header.width, header.height)
        self._mode = "L" if header.grey else "RGB"
        self.tile = []

    def load(self) -> Any:
        """Paint the picture, once."""
        if self._data:
            from titokzip.codec import decompress

            try:
                image = decompress(self._data)
            except FormatError as error:
                raise OSError(str(error)) from error  # Pillow's word for "damaged"
            self.im, self._data = image.im, b""
            if self.fp and self._exclusive_fp:
                self.fp.close()
        return super().load()


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
    from titokzip.codec import compress

    options = {"quality", "bpp", "max_bytes", "tokens", "tile", "background", "model", "device"}
    given = {key: value for key, value in image.encoderinfo.items() if key in options}
    file.write(compress(image, **given))
