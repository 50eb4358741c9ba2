"""Any codec by the commands that encode and decode: our baselines, and whatever a user names.

A line describes one, `name: encode {in} {out} {quality} :: decode {in} {out}`, or a table of a TOML
file does; `programs.toml` holds ours. Commands are split into words as a shell does and run without
one. The words in braces are replaced in each of them.
"""

import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

# Raw video is 4:2:0 at 8 or 10 bits; greyscale is 4:0:0, but 4:2:0 all the same where 420 is said.
FORMATS = ("png", "ppm", "y4m", "y4m10", "y4m-420", "y4m10-420", "yuv", "yuv10")
PLACES = re.compile(r"{(\w+)}")


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
            try:
                shlex.split(command)
            except ValueError as error:
                raise ValueError(f"{self.name}: {error} in {command!r}") from error
            unknown = set(PLACES.findall(command)) - {"in", "out", "quality", "width", "height"}
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
        return sorted(word for word in words if found(word, folders) is None)


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


def found(word: str, folders: Sequence[Path]) -> str | None:
    """Find a program in folders, then on the PATH."""
    here = [str(folder.resolve()) for folder in folders]
    return shutil.which(word, path=os.pathsep.join([*here, os.environ.get("PATH", os.defpath)]))
