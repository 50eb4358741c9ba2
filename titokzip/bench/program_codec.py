"""A codec behind the search that is programs: files in a folder of their own, commands, images."""

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from titokzip.bench import raw_video
from titokzip.bench.cache import Cache
from titokzip.bench.downscale_search import Searched
from titokzip.bench.image_codec import CodecFailed, Size
from titokzip.bench.programs import PLACES, Program, found
from titokzip.files import sha256

_SECONDS = 900  # that one command may take
_VERSION = re.compile(r"(?i)version\D{0,3}\d|\bv\d+\.\d")


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


def _note(program: Program, folders: Sequence[Path]) -> str:
    """Say what runs: its version or else its hash, and the command."""
    said = ""
    if program.version:
        words = [found(w, folders) or w for w in shlex.split(program.version)[:1]]
        words += shlex.split(program.version)[1:]
        try:
            done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            lines = (done.stdout + done.stderr).splitlines()
            said = next((line.strip() for line in lines if _VERSION.search(line)), "")
        except OSError:
            said = ""
    if not said:
        path = found(shlex.split(program.encode)[0], folders)
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
    words = [PLACES.sub(lambda m: values.get(m[1], m[0]), word) for word in shlex.split(command)]
    words[0] = found(words[0], folders) or words[0]
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
    with Image.open(BytesIO(data), formats=("PNG", "PPM")) as image:
        if image.size != coded:
            raise ValueError(f"{image.width} x {image.height} pixels, not {coded[0]} x {coded[1]}")
        return image.convert("L" if grey else "RGB")
