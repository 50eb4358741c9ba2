"""Canvases, and letters of 5 x 7 squares, for `graphics.py`: the same on every machine."""

from collections.abc import Callable

from PIL import Image, ImageDraw

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Columns of seven bits, the lowest on top, for the letters that the words below use.
GLYPHS = {
    "A": "7E1111117E", "B": "7F49494936", "C": "3E41414122", "D": "7F4141413E", "E": "7F49494941",
    "F": "7F09090901", "G": "3E4149493A", "H": "7F0808087F", "I": "00417F4100", "K": "7F08142241",
    "L": "7F40404040", "M": "7F020C027F", "N": "7F0408107F", "O": "3E4141413E", "P": "7F09090906",
    "Q": "3E4151215E", "R": "7F09192946", "S": "4649494931", "T": "01017F0101", "U": "3F4040403F",
    "V": "1F2040201F", "W": "3F4038403F", "X": "6314081463", "Y": "0708700807", "Z": "6151494543",
    "J": "2040413F01", "0": "3E5149453E", "1": "00427F4000", "2": "4261514946", "3": "2141454B31",
    "4": "1814127F10", "5": "2745454539", "6": "3C4A494930", "7": "0171090503", "8": "3649494936",
    "9": "064949291E", ".": "0060600000", ",": "0050300000", ":": "0036360000", "-": "0808080808",
    "/": "2010080402", "=": "1414141414", "(": "001C224100", ")": "0041221C00", "%": "2313086462",
    "_": "4040404040", "$": "242A7F2A12", ">": "0041221408", "'": "0005030000", " ": "0000000000",
}  # fmt: skip
WORDS = (
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG", "PACK MY BOX WITH FIVE DOZEN LIQUOR JUGS",
    "HOW VEXINGLY QUICK DAFT ZEBRAS JUMP", "1,234.56 - 7,890 = 24 % (SEE P. 15)",
)  # fmt: skip


def write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, colour, scale: int = 1
) -> None:
    """Write a line of capitals, each letter of 5 x 7 squares of `scale` pixels."""
    x, y = at
    for letter in text.upper():
        code = bytes.fromhex(GLYPHS.get(letter, GLYPHS[" "]))
        for i, column in enumerate(code):
            for j in range(7):
                if column >> j & 1:
                    left, top = x + i * scale, y + j * scale
                    draw.rectangle((left, top, left + scale - 1, top + scale - 1), fill=colour)
        x += 6 * scale


def canvas(width: int, height: int, colour=WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def smoothed(make: Callable[[int], Image.Image], width: int, height: int) -> Image.Image:
    """Draw at four times the size and shrink: edges are anti-aliased, as real ones are."""
    return make(4).resize((width, height), Image.Resampling.BOX)
