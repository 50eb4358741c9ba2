"""Our codec against the strongest baseline at each point, and every codec against an anchor."""

from typing import Any

from titokzip.bench import OURS
from titokzip.bench.bd_rate import NoBDRate, bd_rate, overlap
from titokzip.bench.report import is_measure, is_paired, rate_of, sign_of

Line = dict[str, Any]
_WELL_SHARED = 0.75  # of the range of two curves, below which a BD-rate says how much it was


def measures(table: list[Line]) -> list[str]:
    """List the measures of averages."""
    return [key for key in dict.fromkeys(k for row in table for k in row) if is_measure(key)]


def strongest(table: list[Line]) -> list[Line]:
    """Name the best baseline at each point by each measure, and our lead over it.

    Only codecs that could do every image count. `lead` is positive where ours is better, in the
    unit of the measure.
    """
    found = []
    for point in dict.fromkeys(row["point"] for row in table):
        whole = [row for row in table if row["point"] == point and row["fit"] == row["images"]]
        for key in measures(table):
            sign = sign_of(key)
            has = [row for row in whole if row.get(key) is not None]
            others = [row for row in has if not row["codec"].startswith(OURS)]
            if not others:
                continue
            best = max(others, key=lambda row: float(sign * row[key]))
            own = {row["codec"]: row[key] for row in has if row["codec"].startswith(OURS)}
            found.append(
                {"point": point, "measure": key, "baseline": best["codec"], "value": best[key]}
                | {"lead": {name: sign * (value - best[key]) for name, value in own.items()}}
            )
    return found


def anchor(table: list[Line]) -> str | None:
    """Name the baseline that is strongest by PSNR at most points."""
    names = [one["baseline"] for one in strongest(table) if one["measure"] == "psnr"]
    return max(dict.fromkeys(names), key=names.count, default=None)


def bd_rates(table: list[Line], against: str) -> Line:
    """Compare every codec's average curve with the anchor's: percent of bits at equal quality.

    Points count at which a codec could do every image. A refusal stands in the place of the number
    and says why.
    """
    percent: Line = {}
    refused: Line = {}
    shared: Line = {}
    for codec in dict.fromkeys(row["codec"] for row in table):
        for key in filter(is_paired, measures(table)):
            curves = [_curve(table, name, key) for name in (against, codec)]
            percent.setdefault(codec, {})[key] = None
            try:
                percent[codec][key] = bd_rate(*curves)
                if (part := overlap(*curves)) < _WELL_SHARED:
                    shared.setdefault(codec, {})[key] = part
            except NoBDRate as error:
                refused.setdefault(codec, {})[key] = str(error)
    return {"anchor": against, "percent": percent, "refused": refused, "overlap": shared}


def _curve(table: list[Line], codec: str, key: str) -> list[tuple[float, float]]:
    """Points of a codec's curve: the rate of the images that have the measure, and the measure."""
    return [
        (rate_of(row, key), sign_of(key) * row[key])
        for row in table
        if row["codec"] == codec and row["fit"] == row["images"] and row.get(key) is not None
    ]
