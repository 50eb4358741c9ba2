"""The page is whole in one file, and works in a real browser on a desk and on a phone."""

import json
import re
import shutil
import subprocess

import pytest
import toys
from photos import photo

from titokzip.bench import page, report, table
from titokzip.bench.baselines import rivals
from titokzip.bench.datasets import find
from titokzip.bench.gallery import advantage, chosen_of, gallery
from titokzip.bench.measure import run
from titokzip.bench.plan import Plan, Point

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write the page of a small run; its path and its result."""
    folder, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("out")
    for i in range(3):
        photo(170, 165, seed=i).save(folder / f"{i} <&>.png")
    here = rivals()
    points, others = (Point(300, True), Point(500, True)), (here["webp"], here["thumbnail"])
    ours = {"titokzip toy": toys.codec(), "titokzip rigid": toys.codec(toys.Rigid())}
    one = Plan(find(str(folder)), points, ours, others)
    rows = list(run(one, out))
    averages = report.summary(rows)
    result = {
        "schema": report.SCHEMA,
        "command": "titokzip bench <script>alert(1)</script>",
        "dataset": {"name": "toys & co", "photos": 3, "protocol": "full resolution"},
        "models": {name: {"name": name.split()[1]} for name in ours},
        "codecs": {},
        "networks": {},
        "references": {},
        "environment": report.environment("cpu"),
        "summary": averages,
        "bd_rate": {"anchor": "webp", "percent": report.bd_rates(averages, "webp")},
        "broken": {"x.png": "damaged"},
        "not_measured": {"lpips": "give --alexnet"},
        "throughput": None,
    }
    path = out / "report.html"
    page.write(path, result, gallery(one, out))
    return path, result


def test_nothing_comes_from_a_network(made):
    text = made[0].read_text("utf-8")
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert links
    assert all(link.startswith("data:") for link in links)
    assert "@import" not in text


def test_what_others_wrote_is_escaped(made):
    text = made[0].read_text("utf-8")
    assert "<script>alert" not in text
    assert "<&>" not in text


def test_curves_have_a_line_a_codec_and_open_dots_where_not_all_fit(made):
    text = page.curve(made[1]["summary"], "psnr")
    assert text.count("<polyline") == 4
    assert len(set(page.colours(made[1]["summary"]).values())) == 4
    rows = [{"codec": "webp", "point": "q1", "bpp": 0.1, "psnr": 20.0, "fit": 1, "photos": 2}]
    assert 'fill="none"' in page.curve(rows, "psnr")
    assert page.curve(rows, "lpips") == ""
    never = {"codec": "jpeg", "point": "q1", "fit": 0, "photos": 2}
    assert page.curve([*rows, never], "psnr") == page.curve(rows, "psnr")


@pytest.mark.parametrize("values", [[0.1, 0.9], [21.3, 21.4], [3], [-5, 1200]])
def test_ticks_are_few_round_and_inside(values):
    ticks = page._ticks(values)
    assert 1 <= len(ticks) <= 11
    assert all(min(values) <= tick <= max(values) for tick in ticks)


def test_published_numbers_are_marked_as_such(made):
    text = made[0].read_text("utf-8")
    assert "Published by others, not measured here" in text
    assert "TiTok-L-32" in text


def test_the_table_names_protocol_and_gaps(made):
    assert table.title(made[1]) == "toys & co, 3 photos, full resolution; models toy, rigid"
    notes = table.footnotes(made[1])
    assert any(note.startswith("1 photo could not be read: x.png") for note in notes)
    assert "LPIPS not measured: give --alexnet" in notes
    assert table.table(made[1]).row_count == 8


def test_best_and_worst_are_by_our_lead():
    def line(own, other):
        rows = [("titokzip", own), ("webp", other), ("avif", other - 1)]
        return {"rows": [{"codec": c, "point": "q", "bytes": 9, "psnr": p} for c, p in rows]}

    scored = [(advantage(line(20.0 + i, 20.0), "q"), {"photo": i}) for i in range(5)]
    assert [score for score, _ in scored] == [0, 1, 2, 3, 4]
    chosen = chosen_of(scored, 2)
    assert [one["photo"] for one in chosen["best"]] == [4, 3]
    assert [one["photo"] for one in chosen["worst"]] == [0, 1]
    assert advantage({"broken": "x"}, "q") is None


CHECK = """
<script>
addEventListener('load', () => {
  const say = {}, pair = document.querySelector('.pair');
  say.images = [...document.images].every(image => image.naturalWidth > 100);
  say.window = innerWidth;
  say.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const slider = pair.querySelector('input');
  slider.value = 25; slider.dispatchEvent(new Event('input'));
  say.clip = pair.querySelectorAll('img')[1].style.clipPath;
  const select = pair.querySelectorAll('select')[1];
  const before = pair.querySelectorAll('img')[1].src;
  select.value = 'original'; select.dispatchEvent(new Event('change'));
  say.changed = pair.querySelectorAll('img')[1].src != before;
  say.begun = pair.querySelectorAll('select')[0].value;
  say.pairs = document.querySelectorAll('.pair').length;
  say.curves = document.querySelectorAll('svg polyline').length;
  parent.postMessage(JSON.stringify(say), '*');
});
</script>
"""
FRAME = """<!doctype html>
<iframe src="checked.html" width="{}" height="800" frameborder="0"></iframe>
<script>addEventListener('message', told => document.body.dataset.said = told.data)</script>
"""


@pytest.mark.parametrize("width", [360, 1280])
def test_it_works_in_a_browser(made, tmp_path, width):
    """Look at it in a frame as wide as a phone: the window of a headless browser is wider."""
    if BROWSER is None:
        pytest.skip("no chromium here")
    (tmp_path / "checked.html").write_text(made[0].read_text("utf-8") + CHECK, "utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--window-size=1400,900", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"]
    address = (tmp_path / "frame.html").as_uri()
    dumped = subprocess.run([*command, address], capture_output=True, text=True, timeout=120)
    said = re.search(r'data-said="([^"]*)"', dumped.stdout)
    assert said, dumped.stderr[-2000:]
    assert json.loads(said[1].replace("&quot;", '"')) == {
        "images": True,
        "window": width,
        "wide": False,
        "clip": "inset(0px 0px 0px 25%)",
        "changed": True,
        "begun": "titokzip toy",
        "pairs": 3,
        "curves": 8,  # four codecs, two measures
    }
