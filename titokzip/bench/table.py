"""The result as a table for terminals, with what it leaves out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Line = dict[str, Any]
_DIGITS = {"bytes": 0, "header": 0, "bpp": 4, "psnr": 2, "ms_ssim": 4, "lpips": 3, "dists": 3}
_NAMES = {
    "header": "of it header", "psnr": "PSNR dB", "ms_ssim": "MS-SSIM", "rfid": "rFID", "fid": "FID",
}  # fmt: skip
_FIRST = ("point", "codec", "photos", "fit")


def title(result: Line) -> str:
    """Name what was measured, and under which protocol."""
    data = result["dataset"]
    models = [model["name"] for model in result["models"].values()]
    word = f"model{'s' * (len(models) > 1)} {', '.join(models)}"
    return f"{data['name']}, {data['photos']} photos, {data['protocol']}; {word}"


def columns(result: Line) -> list[str]:
    """List the measures of a result, as its averages have them."""
    found = dict.fromkeys(key for row in result["summary"] for key in row if key not in _FIRST)
    known = [key for key in _DIGITS if key in found]
    return known + [key for key in found if key not in _DIGITS]


def name(key: str) -> str:
    """Name a measure as the field does."""
    return _NAMES.get(key, key.upper() if key in ("lpips", "dists") else key)


def shown(row: Line, key: str) -> str:
    """Write one average; a dash where there is none."""
    return f"{row[key]:,.{_DIGITS.get(key, 2)}f}" if row.get(key) is not None else "–"


def table(result: Line) -> "Table":
    """Lay out the averages, a block for each point."""
    from rich.table import Table

    keys = columns(result)
    made = Table(title=title(result), title_justify="left")
    made.add_column("point")
    made.add_column("codec")
    made.add_column("fit", justify="right")
    for key in keys:
        made.add_column(name(key), justify="right")
    point = None
    for row in result["summary"]:
        if point not in (None, row["point"]):
            made.add_section()
        label = row["point"] if row["point"] != point else ""
        point = row["point"]
        made.add_row(
            label, row["codec"], f"{row['fit']}/{row['photos']}", *(shown(row, key) for key in keys)
        )
    return made


def footnotes(result: Line) -> list[str]:
    """Say what the numbers do not: broken photos, BD-rates, speed, what was not measured."""
    notes = []
    if result["broken"]:
        names = ", ".join(list(result["broken"])[:5])
        more = ", ..." if len(result["broken"]) > 5 else ""
        count = f"{len(result['broken'])} photo{'s' * (len(result['broken']) > 1)}"
        notes.append(f"{count} could not be read: {names}{more}")
    rates = result["bd_rate"]
    for codec, found in rates["percent"].items():
        parts = [f"{name(k)} {v:+.1f} %" for k, v in found.items() if v is not None]
        if parts and codec != rates["anchor"]:
            notes.append(f"BD-rate of {codec} against {rates['anchor']}: {', '.join(parts)}")
    for codec, speed in (result["throughput"] or {}).items():
        if speed:
            notes.append(
                f"{codec}: {speed['best']['encode']['pictures_per_second']:.1f} pictures/s encoded,"
                f" {speed['best']['decode']['pictures_per_second']:.1f} decoded"
                f" ({speed['rate']}, batch {speed['best_batch']}),"
                f" {speed['outside_networks']:.1%} of the time outside the networks"
            )
    notes += [f"{name(key)} not measured: {how}" for key, how in result["not_measured"].items()]
    return notes
