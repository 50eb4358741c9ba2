"""Any codec by the commands that encode and decode: our baselines, and whatever a user names.

A line describes one, `name: encode {in} {out} {quality} :: decode {in} {out}`, or a table of a TOML
file does; `programs.toml` holds ours. Commands are split into words as a shell does and run without
one. The words in braces are replaced in each of them.
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from titokzip.bench import raw_video
from titokzip.bench.cache import Cache
from titokzip.bench.downscale_search import CodecFailed, Searched, Size
from titokzip.files import sha256

# Raw video is 4:2:0 at 8 or 10 bits; greyscale is 4:0:0, but 4:2:0 all the same where 420 is said.
FORMATS = ("png", "ppm", "y4m", "y4m10", "y4m-420", "y4m10-420", "yuv", "yuv10")
_SECONDS = 900  # that one command may take
_PLACES = re.compile(r"{(\w+)}")
_VERSION = re.compile(r"(?i)version\D{0,3}\d|\bv\d+\.\d")


@dataclass(frozen=True)
class Program:
    """How to call a codec's programs.

    Commands know {in} and {out}, the files; {quality}, a number of `qualities`; and {width} and
    {height} of the image that they code. Without {quality} there is a single file for each scale.
    """

    name: str
    encode: str
    decode: str
    qualities: str = "1..100"  # FIRST..LAST or FIRST..LAST..STEP, smallest file first
    input: str = "png"  # format of what `encode` reads
    output: str = ""  # and of what `decode` writes; by default the same
    grey: str = ""  # how to encode greyscale, if another way
    suffix: str = ""
    version: str = ""  # a command that prints it
    about: str = ""
    source: str = ""  # where to get it

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.+-]+( [\w.+-]+)*", self.name):
            raise ValueError(
                f"a codec's name is letters, digits, '.', '+' and '-', not {self.name!r}"
            )
        for command in filter(None, (self.encode, self.decode, self.grey)):
            unknown = set(_PLACES.findall(command)) - {"in", "out", "quality", "width", "height"}
            if unknown or "{in}" not in command or "{out}" not in command:
                raise ValueError(f"{self.name}: a command has {{in}} and {{out}}, not {command!r}")
        for kind in filter(None, (self.input, self.output)):
            if kind not in FORMATS:
                raise ValueError(f"{self.name}: no format {kind!r}; there are {', '.join(FORMATS)}")
        self.levels  # noqa: B018  (raises where they cannot be read)

    @property
    def levels(self) -> tuple[float, ...]:
        """Qualities in their order."""
        if "{quality}" not in self.encode:
            return (0.0,)
        try:
            first, last, *rest = (float(part) for part in self.qualities.split(".."))
            step = abs(rest[0]) if rest else 1.0
            count = int(abs(last - first) / step + 1e-9) + 1
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            words = f"{self.name}: qualities are FIRST..LAST or FIRST..LAST..STEP"
            raise ValueError(f"{words}, not {self.qualities!r}") from error
        if not 1 <= count <= 10_000:
            raise ValueError(f"{self.name}: {count:,} qualities are too many")
        sign = 1 if last >= first else -1
        return tuple(round(first + sign * step * i, 9) for i in range(count))

    def missing(self, folders: Sequence[Path] = ()) -> list[str]:
        """Name the programs that are not on the PATH, nor in `folders`."""
        words = {shlex.split(command)[0] for command in (self.encode, self.decode)}
        return sorted(word for word in words if _found(word, folders) is None)


def read_line(line: str) -> Program:
    """Read `name: encode ... :: decode ...`, with `:: key=value` after it for other fields.

    Raises:
        ValueError: it is not of that form.
    """
    name, separator, rest = line.partition(":")
    parts = [part.strip() for part in rest.split("::")]
    if not separator or len(parts) < 2:
        raise ValueError(f"{line!r} is not 'name: encode {{in}} {{out}} :: decode {{in}} {{out}}'")
    table = {"encode": parts[0], "decode": parts[1]}
    for part in parts[2:]:
        key, _, value = part.partition("=")
        table[key.strip()] = value.strip()
    return _program(name.strip(), table)


def read_file(path: Path) -> list[Program]:
    """Read the tables of a TOML file, one codec each.

    Raises:
        ValueError: it is not such a file.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from error
    if not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError(f"{path}: each codec is a table, [name] with encode and decode")
    return [_program(name, table) for name, table in tables.items()]


def own() -> list[Program]:
    """Read the programs of our own baselines."""
    text = files("titokzip.bench").joinpath("programs.toml").read_text("utf-8")
    return [_program(name, table) for name, table in tomllib.loads(text).items()]


def codec(
    program: Program, cache: Cache, folders: Sequence[Path] = (), bare: bool = True
) -> Searched:
    """Make a codec of a program that is here; `bare` compares codestreams, else whole files."""
    return Searched(
        program.name,
        program.suffix or f".{program.name}",
        _note(program, folders),
        program.levels,
        partial(_encode, program, folders),
        partial(_decode, program, folders),
        bare,
        cache,
    )


def _program(name: str, table: dict[str, Any]) -> Program:
    known = {field.name for field in fields(Program)} - {"name"}
    if unknown := set(table) - known:
        words = f"{name}: no field {sorted(unknown)[0]!r}"
        raise ValueError(f"{words}; there are {', '.join(sorted(known))}")
    if missing := {"encode", "decode"} - set(table):
        raise ValueError(f"{name}: {sorted(missing)[0]} is missing")
    if not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f"{name}: all fields are text")
    return Program(name, **table)


def _note(program: Program, folders: Sequence[Path]) -> str:
    """Say what runs: its version or else its hash, and the command."""
    said = ""
    if program.version:
        words = [_found(w, folders) or w for w in shlex.split(program.version)[:1]]
        words += shlex.split(program.version)[1:]
        try:
            done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            lines = (done.stdout + done.stderr).splitlines()
            said = next((line.strip() for line in lines if _VERSION.search(line)), "")
        except OSError:
            said = ""
    if not said:
        path = _found(shlex.split(program.encode)[0], folders)
        said = f"SHA-256 {sha256(Path(path)).hex()[:16]}" if path else "?"
    return f"{said}: {program.encode}" + (f" (grey: {program.grey})" if program.grey else "")


def _encode(program: Program, folders: Sequence[Path], image: Image.Image, quality: float) -> bytes:
    command = program.grey if program.grey and image.mode == "L" else program.encode
    with tempfile.TemporaryDirectory(prefix="titokzip-bench-") as folder:
        source = Path(folder, f"in.{program.input[:3]}")
        target = Path(folder, f"out{program.suffix or '.' + program.name.replace(' ', '-')}")
        _write(source, image, program.input)
        _run(program, folders, command, source, target, image.size, quality)
        return _read(program, target)


def _decode(
    program: Program, folders: Sequence[Path], data: bytes, coded: Size, grey: bool
) -> Image.Image:
    kind = program.output or program.input
    with tempfile.TemporaryDirectory(prefix="titokzip-bench-") as folder:
        source = Path(folder, f"in{program.suffix or '.' + program.name.replace(' ', '-')}")
        target = Path(folder, f"out.{kind[:3]}")
        source.write_bytes(data)
        _run(program, folders, program.decode, source, target, coded, 0)
        decoded = _read(program, target)
    try:
        return _image(decoded, kind, coded, grey)
    except (ValueError, OSError, SyntaxError) as error:
        raise CodecFailed(f"{program.name}: what it decoded cannot be read ({error})") from error


def _run(
    program: Program,
    folders: Sequence[Path],
    command: str,
    source: Path,
    target: Path,
    size: Size,
    quality: float,
) -> None:
    values = {"in": str(source), "out": str(target), "quality": f"{quality:g}"}
    values |= {"width": str(size[0]), "height": str(size[1])}
    words = [_PLACES.sub(lambda m: values.get(m[1], m[0]), word) for word in shlex.split(command)]
    words[0] = _found(words[0], folders) or words[0]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            cwd=target.parent,
        )
    except subprocess.TimeoutExpired as error:
        raise CodecFailed(f"{program.name}: {words[0]} took over {_SECONDS} seconds") from error
    except OSError as error:
        raise CodecFailed(f"{program.name}: {words[0]} cannot be run ({error.strerror})") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        last = said[-1].strip() if said else "it says nothing"
        raise CodecFailed(
            f"{program.name}: {shlex.join(words)} ended with {done.returncode}: {last}"
        )


def _read(program: Program, target: Path) -> bytes:
    if not target.exists():
        raise CodecFailed(f"{program.name}: it ended well, but wrote no {target.name}")
    return target.read_bytes()


def _write(path: Path, image: Image.Image, kind: str) -> None:
    if kind in ("png", "ppm"):
        image.save(path, "PNG" if kind == "png" else "PPM")
        return
    depth: raw_video.Depth = 10 if "10" in kind else 8
    make = raw_video.to_y4m if kind.startswith("y4m") else raw_video.to_yuv
    path.write_bytes(make(image.convert("RGB") if kind.endswith("420") else image, depth))


def _image(data: bytes, kind: str, coded: Size, grey: bool) -> Image.Image:
    if kind.startswith("y4m"):
        return raw_video.from_y4m(data, coded)
    if kind.startswith("yuv"):
        return raw_video.from_yuv(data, coded, 10 if "10" in kind else 8, grey)
    from io import BytesIO

    with Image.open(BytesIO(data), formats=("PNG", "PPM")) as image:
        if image.size != coded:
            raise ValueError(f"{image.width} x {image.height} pixels, not {coded[0]} x {coded[1]}")
        return image.convert("L" if grey else "RGB")


def _found(word: str, folders: Sequence[Path]) -> str | None:
    here = [str(folder.resolve()) for folder in folders]
    return shutil.which(word, path=os.pathsep.join([*here, os.environ.get("PATH", os.defpath)]))
