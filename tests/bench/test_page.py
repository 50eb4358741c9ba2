"""The page is whole in one file, and works in a real browser on a desk and on a phone."""

import json
import re
import shutil
import subprocess

import pytest
import toys
from photos import photo

from titokzip.bench import comparison, curves, page, report, table
from titokzip.bench.baselines import available
from titokzip.bench.cache import Cache
from titokzip.bench.datasets import find
from titokzip.bench.gallery import advantage, chosen_of, gallery, opponent
from titokzip.bench.measure import run
from titokzip.bench.ours import Ours
from titokzip.bench.plan import Plan, Point

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write the page of a small run; its path and its result."""
    folder, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("out")
    for i in range(8):
        photo(170, 165, seed=i).save(folder / f"{i} <&>.png")
    here = available(Cache()).codecs
    points, others = (Point(300, True), Point(500, True)), (here["webp"], here["thumbnail"])
    ours = {
        "titokzip toy": Ours(toys.codec()),
        "titokzip rigid": Ours(toys.codec(toys.Rigid())),
    }
    one = Plan(find(str(folder)), points, ours, others)
    rows = list(run(one, out))
    averages = report.summary(rows)
    model = {"trained_against": []}
    result = {
        "schema": report.SCHEMA,
        "command": "titokzip bench <script>alert(1)</script>",
        "dataset": {"name": "kodak", "images": 8, "protocol": "full resolution"},
        "models": {name: {"name": name.split()[1]} | model for name in ours},
        "compared": "codestreams",
        "codecs": {},
        "networks": {"lpips": {"network": "AlexNet", "sha256": []}},
        "references": {},
        "environment": report.environment("cpu"),
        "summary": averages,
        "strongest": comparison.strongest(averages),
        "bd_rate": comparison.bd_rates(averages, "webp"),
        "broken": {"x.png": "damaged"},
        "skipped": {"y.tar.gz": "compressed"},
        "other_than_held_out": "8 of 8 images are not those of the held-out list of kodak",
        "not_measured": {"lpips": "needs AlexNet"},
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


def test_curves_have_a_line_a_codec_and_hollow_dots_where_not_all_fit(made):
    text = curves.curve(made[1], "psnr")
    assert text.count("<polyline") == 4
    assert len(set(curves.colours(made[1]["summary"]).values())) == 4
    rows = [{"codec": "webp", "point": "q1", "bpp": 0.1, "psnr": 20.0, "fit": 1, "images": 2}]
    result = {"summary": rows, "dataset": {"name": "toys"}}
    assert 'fill="none"' in curves.curve(result, "psnr")
    assert curves.curve(result, "lpips") == ""
    never = {"codec": "jpeg", "point": "q1", "fit": 0, "images": 2}
    assert curves.curve(result | {"summary": [*rows, never]}, "psnr") == curves.curve(
        result, "psnr"
    )


def test_published_points_are_diamonds_on_the_curves_of_their_data_set_and_measure(made):
    rows = [
        {"codec": "webp", "point": p, "bpp": b, "psnr": 20.0 + b, "lpips": 0.5, "ms_ssim": 0.5}
        | {"fit": 1, "images": 1}
        for p, b in (("a", 0.01), ("b", 0.1))
    ]
    kodak = {"summary": rows, "dataset": {"name": "kodak"}}
    drawn = curves.curve(kodak, "lpips")
    assert drawn.count('class="published"') > 10
    assert "StableCodec, published, not measured here" in drawn
    assert 'class="published"' not in curves.curve(kodak, "ms_ssim")
    assert 'class="published"' not in curves.curve(kodak | {"dataset": {"name": "x"}}, "lpips")


def test_a_drawing_of_its_own_is_well_formed(made):
    from xml.etree import ElementTree

    text = curves.document(made[1], ["psnr", "ms_ssim", "lpips"])
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert text.count("<polyline") == 8
    assert "titokzip toy" in text


def test_unknown_codecs_get_colours_of_their_own():
    found = curves.colours([{"codec": name} for name in ("titokzip", "mine", "yours", "webp")])
    assert len(set(found.values())) == 4


@pytest.mark.parametrize("values", [[0.1, 0.9], [21.3, 21.4], [3], [-5, 1200]])
def test_ticks_are_few_round_and_inside(values):
    ticks = curves.ticks(values)
    assert 1 <= len(ticks) <= 11
    assert all(min(values) <= tick <= max(values) for tick in ticks)


def test_published_numbers_are_marked_as_such(made):
    text = made[0].read_text("utf-8")
    assert "Published by others, not measured here" in text
    assert "TiTok-L-32" in text


def test_the_table_names_protocol_and_gaps(made):
    assert table.title(made[1]) == "kodak, 8 images, full resolution; models toy, rigid"
    notes = table.footnotes(made[1])
    assert any(note.startswith("1 image could not be read: x.png") for note in notes)
    assert "LPIPS not measured: needs AlexNet" in notes
    assert "not read: y.tar.gz: compressed" in notes
    assert "8 of 8 images are not those of the held-out list of kodak" in notes
    assert "LPIPS is by AlexNet: no model was trained against it" in notes
    assert any(note.startswith("300B: strongest by PSNR dB is webp") for note in notes)
    assert table.table(made[1]).row_count == 8
    assert "of the baselines' bare codestreams" in table.compared(made[1])
    assert "whole files" in table.compared(made[1] | {"compared": "files"})


def test_a_metric_says_which_model_was_trained_against_its_network(made):
    models = {
        "a": {"name": "a", "trained_against": ["vgg16"]},
        "b": {"name": "b", "trained_against": None},
        "c": {"name": "c", "trained_against": ["tiny-darknet"]},
    }
    networks = {"dists": {"network": "VGG16", "sha256": []}}
    notes = table.footnotes(made[1] | {"models": models, "networks": networks})
    assert "DISTS is by VGG16: a was trained against it; of b it is not known" in notes


def test_best_and_worst_are_by_our_lead_over_the_strongest_baseline():
    def line(own, other):
        rows = [("titokzip", own), ("webp", other), ("avif", other - 1)]
        return {"rows": [{"codec": c, "point": "q", "bytes": 9, "psnr": p} for c, p in rows]}

    lines = [line(20.0 + i, 20.0) for i in range(5)]
    assert opponent(lines, "q", "titokzip") == ("psnr", "webp")
    scored = [
        (advantage(one, "q", "titokzip", "webp", "psnr"), {"image": i})
        for i, one in enumerate(lines)
    ]
    assert [score for score, _ in scored] == [0, 1, 2, 3, 4]
    chosen = chosen_of(scored, 2)
    assert [one["image"] for one in chosen["best"]] == [4, 3]
    assert [one["image"] for one in chosen["worst"]] == [0, 1]
    assert advantage({"broken": "x"}, "q", "titokzip", "webp", "psnr") is None


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
  say.begun = [...pair.querySelectorAll('select')].map(select => select.value);
  const select = pair.querySelectorAll('select')[1];
  const before = pair.querySelectorAll('img')[1].src;
  select.value = 'original'; select.dispatchEvent(new Event('change'));
  say.changed = pair.querySelectorAll('img')[1].src != before;
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
        "begun": ["titokzip toy", "webp"],
        "pairs": 12,  # three best and three worst of each model
        "curves": 8,  # four codecs, two measures
    }
