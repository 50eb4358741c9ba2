"""titokzip info and titokzip test: what a .ttk file says without its model."""

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli import exit_codes
from titokzip.cli.files import described
from titokzip.cli.output import say, say_json
from titokzip.errors import FormatError, TitokzipError

if TYPE_CHECKING:
    from titokzip.bitstream.container import Contents


@click.command(short_help="Show what is in .ttk files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def info(files: tuple[str, ...], as_json: bool) -> None:
    """Show header, model, layout and bytes of .ttk files, without the model."""
    rows, failed = [], False
    for name in files:
        row = _row(name)
        failed |= row["status"] != "whole"
        rows.append(row)
        if not as_json:
            _show(row)
    if as_json:
        say_json({"schema": 1, "results": rows})
    if failed:
        sys.exit(exit_codes.FAILED)


@click.command(short_help="Check .ttk files for damage.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def test(files: tuple[str, ...]) -> None:
    """Check everything that can be checked without the model; exit 1 on any damage."""
    rows = [_row(name) for name in files]
    for row in rows:
        detail = "" if row["status"] == "whole" else f" ({row['error']})"
        say(f"{row['input']}: {row['status']}{detail}")
    if any(row["status"] != "whole" for row in rows):
        sys.exit(exit_codes.FAILED)


def _row(name: str) -> dict[str, Any]:
    from titokzip.bitstream import container

    row: dict[str, Any] = {"input": name}
    try:
        contents = container.unpack(_read(name), max_pixels=sys.maxsize, partial=True)
        _check(contents)
    except OSError as error:
        return row | {"status": "unreadable", "error": error.strerror or str(error)}
    except FormatError as error:
        return row | {"status": "damaged", "error": str(error)}
    except TitokzipError as error:
        return row | {"status": "unreadable", "error": str(error)}
    row |= {"status": "whole" if contents.whole else "cut"} | _fields(contents)
    if not contents.whole:
        whole, intact = contents.header.layers, len(contents.payloads)
        row["error"] = f"{intact} of {whole} layers are intact"
    return row


def _check(contents: "Contents") -> None:
    """Check what the model takes no part in: the working size, and all of a palette's image."""
    from titokzip.bitstream.header import IndexedLayout, TransformLayout

    header, layout = contents.header, contents.header.layout
    if isinstance(layout, TransformLayout):
        from titokzip.transform.working_size import working_blocks

        working_blocks(header.width, header.height, layout.blocks)
    elif isinstance(layout, IndexedLayout):
        from titokzip.layouts import indexed

        indexed.decode(contents, layout)


def _read(name: str) -> bytes:
    from titokzip.bitstream import container
    from titokzip.files import read_bounded

    if name != "-":
        with Path(name).open("rb") as file:
            return read_bounded(file, container.MAX_BYTES)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return read_bounded(sys.stdin.buffer, container.MAX_BYTES)


def _fields(contents: "Contents") -> dict[str, Any]:
    from titokzip import zoo
    from titokzip.bitstream.header import VERSION

    header = contents.header
    return {
        "version": VERSION,
        "model": header.model.hex(),
        "model_name": zoo.name_of(header.model),
        "width": header.width,
        "height": header.height,
        "colour": ("grey" if header.grey else "rgb") + "a" * header.alpha,
        **described(header.layout),
        "total_bytes": contents.total_bytes,
        "header_bytes": contents.header_bytes,
        "layer_bytes": [len(payload) for payload in contents.payloads],
        "bpp": 8 * contents.total_bytes / (header.width * header.height),
    }


def _show(row: dict[str, Any]) -> None:
    say(f"{row['input']}: {row['status']}" + (f", {row['error']}" if "error" in row else ""))
    for name, value in row.items():
        if name not in ("input", "status", "error") and value is not None:
            shown = f"{value:.4f}" if isinstance(value, float) else value
            say(f"  {name.replace('_', ' '):<13}{shown}")
