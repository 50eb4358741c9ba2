"""An earlier run's searches are not repeated: its files are made again, or found missing again."""

import io
import json
from dataclasses import replace

import pytest
import torch
from photos import photo
from PIL import Image

from titokzip.bench.cache import Cache
from titokzip.bench.distances import Distance
from titokzip.bench.downscale_search import Searched
from titokzip.bench.earlier import AnotherRun, Earlier
from titokzip.bench.measures import Measures
from titokzip.bench.plan import Plan

BUDGETS = [20, 300, 900, 30_000]


class Webp:
    """WebP, and what it was asked for."""

    def __init__(self, note="v1"):
        self.calls = []
        qualities = tuple(map(float, range(101)))
        self.codec = Searched(
            "webp", ".webp", note, qualities, self.save, self.load, exact=self.exact
        )

    def save(self, image, quality):
        self.calls.append((image.size, quality))
        return self.webp(image, quality=int(quality))

    def exact(self, image, quickly):
        return self.webp(image, lossless=True)

    @staticmethod
    def webp(image, **options):
        file = io.BytesIO()
        image.save(file, "WEBP", **options)
        return file.getvalue()

    @staticmethod
    def load(data, coded, grey):
        return Image.open(io.BytesIO(data))


def result_of(codec, image, made):
    rows = []
    for budget, one in zip(BUDGETS, made, strict=True):
        row = {"codec": codec.name, "point": f"{budget}B", "budget": budget, "bytes": None}
        if one:
            row |= {"bytes": len(one.data), "coded": list(one.coded), "setting": one.setting}
        rows.append(row)
    ours = {"codec": "titokzip", "point": "20B", "bytes": 20}
    return {
        "dataset": {"sha256": "of these"},
        "compared": "codestreams",
        "networks": {},
        "codecs": {"titokzip": "this", codec.name: codec.note},
        "rows": [{"image": "a.png", "width": 96, "height": 64, "rows": [ours, *rows]}],
    }


@pytest.fixture
def image():
    return photo(96, 64)


@pytest.fixture
def made(image):
    """What a search gives: nothing, two files, and one without loss."""
    found = Webp().codec.encode(image, BUDGETS)
    assert [one and one.setting == "lossless" for one in found] == [None, False, False, True]
    return found


@pytest.fixture
def path(image, made, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(result_of(Webp().codec, image, made)))
    return tmp_path / "result.json"


def test_the_same_files_are_made_without_a_search(image, made, path):
    earlier, webp = Earlier.read(path, "of these", "codestreams"), Webp()
    earlier.repeat("a.png", image, [webp.codec])
    assert [call[0] for call in webp.calls] == [one.coded for one in made[1:3]]
    assert webp.codec.encode(image, BUDGETS) == made
    assert len(webp.calls) == 2


@pytest.mark.parametrize("what", ["another image", "another version"])
def test_what_is_not_the_same_is_searched_for(what, image, made, path):
    earlier = Earlier.read(path, "of these", "codestreams")
    webp = Webp("v2" if what == "another version" else "v1")
    earlier.repeat("b.png" if what == "another image" else "a.png", image, [webp.codec])
    assert webp.calls == []
    assert webp.codec.encode(image, BUDGETS) == made
    assert len(webp.calls) > 2


def test_a_file_that_is_too_large_now_is_searched_for(image, made, path):
    result = json.loads(path.read_text())
    row = result["rows"][0]["rows"][2]
    row["setting"] = "100"
    path.write_text(json.dumps(result))
    webp = Webp()
    Earlier.read(path, "of these", "codestreams").repeat("a.png", image, [webp.codec])
    assert webp.codec.encode(image, [row["budget"]]) == [made[1]]
    assert len(webp.calls) > 3


def test_other_measures_are_taken_where_psnr_is_the_same_to_the_last_bit(image, path):
    decoded = image.resize((48, 32)).resize(image.size)
    result = json.loads(path.read_text())
    row = result["rows"][0]["rows"][2]
    plan = Plan(None, (), {}, (), distances=(distance("same"), distance("other"), distance("new")))
    row |= Measures(plan, "a.png", image).of(decoded) | {
        "ms_ssim": 0.125,
        "same": 5.0,
        "other": 5.0,
    }
    result["networks"] = {"same": {"sha256": ["same"]}, "other": {"sha256": ["an older one"]}}
    path.write_text(json.dumps(result))
    known = Earlier.read(path, "of these", "codestreams").measured("a.png", row, plan.distances)
    plan = replace(plan, cache=Cache())
    found = Measures(plan, "a.png", image).of(decoded, known)
    assert found == {"psnr": row["psnr"], "ms_ssim": 0.125, "same": 5.0, "other": 1.0, "new": 1.0}
    decoded.putpixel((3, 3), (1, 2, 3))
    found = Measures(plan, "a.png", image).of(decoded, known)
    assert found["same"] == 1.0
    assert found["ms_ssim"] != 0.125


def distance(name):
    """A distance that is always one."""
    return Distance(name, "", (name,), lambda x: x, lambda x, y: torch.ones(()))


def test_a_coded_image_that_is_larger_than_the_original_is_refused(path):
    result = json.loads(path.read_text())
    result["rows"][0]["rows"][2]["coded"] = [96, 65]
    path.write_text(json.dumps(result))
    with pytest.raises(AnotherRun, match="not the result"):
        Earlier.read(path, "of these", "codestreams")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "not the result"),
        ("[]", "not the result"),
        ('{"rows": [{"image": "a", "rows": [{"budget": 4, "bytes": 3}]}]}', "not the result"),
        (None, "other images"),
    ],
)
def test_another_run_is_refused(text, reason, path):
    if text is not None:
        path.write_text(text)
    with pytest.raises(AnotherRun, match=reason):
        Earlier.read(path, "of others", "codestreams")
