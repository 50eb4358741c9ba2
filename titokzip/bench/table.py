"""The result as a table for terminals, with what it leaves out."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Line = dict[str, Any]
_DIGITS = {
    "bytes": 0, "file_bytes": 0, "header": 0, "bpp": 4, "psnr": 2, "ms_ssim": 4, "lpips": 3,
    "dists": 3, "lpips-vgg": 3, "st-lpips": 3, "ssimulacra2": 1, "butteraugli": 2, "face": 3,
}  # fmt: skip
_NAMES = {
    "file_bytes": "whole file", "header": "of it header", "psnr": "PSNR dB", "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS", "dists": "DISTS", "lpips-vgg": "LPIPS-vgg", "st-lpips": "ST-LPIPS",
    "ssimulacra2": "SSIMULACRA2", "butteraugli": "Butteraugli", "face": "face distance",
    "rfid": "rFID", "fid": "FID",
}  # fmt: skip
_FIRST = ("point", "codec", "images", "fit", "over")
_LEADS = ("psnr", "lpips")  # measures of which the notes name the strongest baseline


def title(result: Line) -> str:
    """Name what was measured, and under which protocol."""
    data = result["dataset"]
    models = [model["name"] for model in result["models"].values()]
    word = f"model{'s' * (len(models) > 1)} {', '.join(models)}"
    return f"{data['name']}, {data['images']} images, {data['protocol']}; {word}"


def compared(result: Line) -> str:
    """Say which bytes are compared."""
    if result["compared"] == "files":
        return "Bytes are of whole files, containers included."
    return "Bytes are of our whole files, and of the baselines' bare codestreams."


def columns(result: Line) -> list[str]:
    """List the measures of a result, as its averages have them."""
    found = dict.fromkeys(key for row in result["summary"] for key in row if key not in _FIRST)
    known = [key for key in _DIGITS if key in found]
    return known + [key for key in found if key not in _DIGITS]


def name(key: str) -> str:
    """Name a measure as the field does."""
    return _NAMES.get(key, key)


def shown(row: Line, key: str) -> str:
    """Write one average; a dash where there is none; of how many images, where not all that fit."""
    if row.get(key) is None:
        return "–"
    over = row.get("over", {}).get(key)
    count = f" ({over['images']}/{row['fit']})" if over else ""
    return f"{row[key]:,.{_DIGITS.get(key, 2)}f}{count}"


def table(result: Line) -> "Table":
    """Lay out the averages, a block for each point."""
    from rich.table import Table

    keys = columns(result)
    made = Table(title=title(result), title_justify="left", caption=compared(result))
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
            label, row["codec"], f"{row['fit']}/{row['images']}", *(shown(row, key) for key in keys)
        )
    return made


def footnotes(result: Line) -> list[str]:
    """Say what the numbers do not: who leads, how fast each is, what was left out."""
    notes = _leads(result) + _bd_rates(result)
    if result["broken"]:
        names = ", ".join(list(result["broken"])[:5])
        more = ", ..." if len(result["broken"]) > 5 else ""
        count = f"{len(result['broken'])} image{'s' * (len(result['broken']) > 1)}"
        notes.append(f"{count} could not be read: {names}{more}")
    notes += [f"not read: {path}: {why}" for path, why in list(result["skipped"].items())[:5]]
    if result["other_than_held_out"]:
        notes.append(result["other_than_held_out"])
    notes += trained(result) + _speeds(result)
    notes += [f"{name(key)} not measured: {how}" for key, how in result["not_measured"].items()]
    return notes


def _leads(result: Line) -> list[str]:
    notes = []
    for one in result["strongest"]:
        if one["measure"] in _LEADS:
            digits = _DIGITS[one["measure"]]
            leads = ", ".join(f"{k} {v:+.{digits}f}" for k, v in one["lead"].items())
            best = f"{one['baseline']}, {one['value']:.{digits}f}"
            notes.append(
                f"{one['point']}: strongest by {name(one['measure'])} is {best}; lead of {leads}"
            )
    return notes


def _bd_rates(result: Line) -> list[str]:
    rates, notes = result["bd_rate"], []
    for codec, found in rates["percent"].items():
        if codec == rates["anchor"]:
            continue
        refused = rates["refused"].get(codec, {})
        parts = [
            f"{name(k)} {v:+.1f} %" if v is not None else f"{name(k)} none ({refused.get(k)})"
            for k, v in found.items()
        ]
        notes.append(f"BD-rate of {codec} against {rates['anchor']}: {', '.join(parts)}")
    return notes


def trained(result: Line, keys: Collection[str] | None = None) -> list[str]:
    """Say of each metric's network, or of those of some, whether a model was trained against it."""
    notes = []
    for key, one in result["networks"].items():
        if not one["network"] or (keys is not None and key not in keys):
            continue
        against = trained_against(result, key)
        taught = [codec for codec, value in against.items() if value]
        unknown = [codec for codec, value in against.items() if value is None]
        words = f"{', '.join(taught) or 'no model'} was trained against it"
        words += f"; of {', '.join(unknown)} it is not known" if unknown else ""
        notes.append(f"{name(key)} is by {one['network']}: {words}")
    return notes


def trained_against(result: Line, key: str) -> dict[str, bool | None]:
    """Tell by model whether it was trained against a metric's network; None is not known."""
    one = result["networks"].get(key) or {}
    if not one.get("network"):
        return dict.fromkeys(result["models"], False)
    return {
        codec: None if model["trained_against"] is None else _same(one, model)
        for codec, model in result["models"].items()
    }


def _same(network: Line, model: Line) -> bool:
    plain = network["network"].lower().replace("-", "")
    return any(one.lower().replace("-", "") in plain for one in model["trained_against"])


def _speeds(result: Line) -> list[str]:
    speed = result["throughput"] or {}
    if "failed" in speed:
        return [f"throughput not measured: {speed['failed']}"]
    notes = []
    for codec, one in speed.get("ours", {}).items():
        ways = [f"{one['best'][way]['images_per_second']:.2f} images/s {way}d" for way in _WAYS]
        share = ", ".join(f"{one['matmul_share'][way]:.0%} {way}" for way in _WAYS)
        notes.append(
            f"{codec}: {', '.join(ways)} ({one['point']}, batch {one['best_batch']},"
            f" {speed['threads']} threads); share of the matmul peak: {share}"
        )
    for codec, one in speed.get("baselines", {}).items():
        if one:
            ways = [f"{one[w]['images_per_second']:.2f} images/s {w}d" for w in _WAYS if w in one]
            notes.append(f"{codec}: {', '.join(ways)}, without its search")
    return notes


_WAYS = ("encode", "decode")
