"""Averages, curves and leads are over the same images, and say of how many."""

import pytest

from titokzip.bench import comparison, report, table


def line(image, rows):
    return {"image": image, "rows": rows}


def row(codec, point, size, quality, similarity=None, pixels=1000, **more):
    measures = {"psnr": quality, "ms_ssim": similarity} if size else {}
    bpp = 8 * size / pixels if size else None
    return {"codec": codec, "point": point, "bytes": size, "bpp": bpp} | measures | more


def mixed():
    """One image that has an MS-SSIM, and one of other rates that is too small for it."""
    large, small = [], []
    for i in range(4):
        for codec, scale in (("webp", 100), ("titokzip", 65)):
            size = scale * 2**i
            large.append(row(codec, f"q{i}", size, 30.0 + i, 0.80 + i / 100))
            small.append(row(codec, f"q{i}", size * (3 if codec == "webp" else 1), 30.0 + i))
    return [line("large", large), line("small", small)]


def test_a_measure_is_compared_at_the_rates_of_the_images_that_have_it():
    averages = report.summary(mixed())
    alone = report.summary(mixed()[:1])
    found, expected = (comparison.bd_rates(t, "webp")["percent"] for t in (averages, alone))
    assert expected["titokzip"]["ms_ssim"] == pytest.approx(-35)
    assert found["titokzip"]["ms_ssim"] == pytest.approx(-35)
    assert found["titokzip"]["psnr"] == pytest.approx(100 * (65 / 200 - 1))


def test_the_table_says_of_how_many_images_a_measure_is():
    averages = report.summary(mixed())
    assert averages[0]["over"] == {"ms_ssim": {"images": 1, "bpp": 0.8}}
    assert table.shown(averages[0], "ms_ssim") == "0.8000 (1/2)"
    assert table.shown(averages[0], "psnr") == "30.00"
    assert "over" not in report.summary(mixed()[:1])[0]


def points(codec, sizes, qualities):
    return [
        row(codec, f"{i}", size, quality)
        for i, (size, quality) in enumerate(zip(sizes, qualities, strict=True))
    ]


def test_curves_that_fall_or_hardly_overlap_have_no_bd_rate_and_say_why():
    webp = points("webp", (100, 200, 400), (30.0, 33.0, 36.0))
    falls = points("falls", (100, 200, 400), (30.0, 36.0, 33.0))
    apart = points("apart", (100, 200, 400), (20.0, 25.0, 30.5))
    half = points("half", (50, 100, 200), (32.0, 35.0, 38.0))
    found = comparison.bd_rates(report.summary([line("a", webp + falls + apart + half)]), "webp")
    assert found["percent"]["falls"]["psnr"] is None
    assert "does not rise" in found["refused"]["falls"]["psnr"]
    assert found["percent"]["apart"]["psnr"] is None
    assert "share only 3%" in found["refused"]["apart"]["psnr"]
    assert found["percent"]["half"]["psnr"] < -60
    assert found["overlap"]["half"]["psnr"] == pytest.approx(0.5)


def test_the_strongest_is_named_at_each_point_with_our_lead():
    rows = [
        row("titokzip", "96B", 96, 20.0, lpips=0.5), row("webp", "96B", 90, 19.0, lpips=0.6),
        row("vvc", "96B", None, None), row("titokzip", "400B", 400, 22.0, lpips=0.4),
        row("webp", "400B", 400, 22.5, lpips=0.5), row("vvc", "400B", 390, 23.0, lpips=0.55),
    ]  # fmt: skip
    found = comparison.strongest(report.summary([line("a", rows)]))
    by = {(one["point"], one["measure"]): one for one in found}
    assert by["96B", "psnr"]["baseline"] == "webp"
    assert by["96B", "psnr"]["lead"] == {"titokzip": 1.0}
    assert by["400B", "psnr"]["baseline"] == "vvc"
    assert by["400B", "psnr"]["lead"] == {"titokzip": -1.0}
    assert by["400B", "lpips"]["baseline"] == "webp"
    assert by["400B", "lpips"]["lead"]["titokzip"] == pytest.approx(0.1)


def test_who_cannot_do_every_image_is_not_the_strongest():
    rows = [row("webp", "96B", 90, 19.0), row("vvc", "96B", 90, 25.0)]
    other = [row("webp", "96B", 90, 19.0), row("vvc", "96B", None, None)]
    found = comparison.strongest(report.summary([line("a", rows), line("b", other)]))
    assert {one["baseline"] for one in found} == {"webp"}
    assert comparison.anchor(report.summary([line("a", rows), line("b", other)])) == "webp"


def test_frechet_distances_have_no_bd_rate():
    averages = report.summary([line("a", points("webp", (100, 200), (30.0, 33.0)))])
    for one in averages:
        one["fd-net"] = one["rfid"] = one["patch-64 fd-net"] = 3.0
    assert set(comparison.bd_rates(averages, "webp")["percent"]["webp"]) == {"psnr"}
    assert not report.is_paired("patch-64 rfid")
