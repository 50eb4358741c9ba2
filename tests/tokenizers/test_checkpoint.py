"""State dicts against what a module wants, and shapes within bounds."""

import pytest
import torch

from titokzip.errors import ModelError
from titokzip.tokenizers.checkpoint import check_finite, check_tensors
from titokzip.tokenizers.config import ViTConfig, check_whole


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


WANTED = {"a": meta(2, 3), "b": meta(4, dtype=torch.int32)}
RIGHT = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.int32)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_point_of_any_width_fits(dtype):
    check_tensors(RIGHT | {"a": torch.zeros(2, 3, dtype=dtype)}, WANTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": None}, "^the weights lack a$"),
        ({"c": torch.zeros(1)}, "^the weights have an unexpected c$"),
        ({"a": torch.zeros(3, 2)}, "^the weights have another shape of a$"),
        ({"a": torch.zeros(())}, "^the weights have another shape of a$"),
        ({"a": torch.zeros(2, 3, dtype=torch.int32)}, "^the weights have another type of a$"),
        ({"a": torch.zeros(2, 3, dtype=torch.complex64)}, "^the weights have another type of a$"),
        ({"a": torch.zeros(2, 3).to(torch.float8_e5m2)}, "^the weights have another type of a$"),
        ({"b": torch.zeros(4, dtype=torch.int64)}, "^the weights have another type of b$"),
        ({"b": torch.zeros(4)}, "^the weights have another type of b$"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    state = {name: tensor for name, tensor in (RIGHT | change).items() if tensor is not None}
    with pytest.raises(ModelError, match=message):
        check_tensors(state, WANTED)


def test_three_are_named_and_the_others_counted():
    extra = {f"{letter * 100}": torch.zeros(1) for letter in "vwxyz"}
    with pytest.raises(ModelError, match=r"unexpected v{80}…, w{80}…, x{80}… and 2 more$"):
        check_tensors(RIGHT | extra, WANTED)
    check_tensors(RIGHT | extra, WANTED, ignored=tuple("vwxyz"))


def test_every_number_is_looked_at():
    check_finite(
        RIGHT | {"none": torch.zeros(0), "one": torch.zeros(()), "large": torch.tensor(1e38)}
    )
    for wrong in ("nan", "inf", "-inf"):
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            tensor = torch.zeros(5, 7, dtype=dtype)
            tensor[3, 2] = float(wrong)
            with pytest.raises(ModelError, match=r"not finite in a$"):
                check_finite({"a": tensor, "b": torch.zeros(1)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 100_000_000}, r"depth is 100000000, not a whole number in 0\.\.128"),
        ({"depth": -1}, "depth is -1"),
        ({"depth": 10**4000}, "depth is 10{39}, not"),
        ({"width": 0}, "width is 0"),
        ({"width": 1 << 40}, r"width is 1099511627776, not a whole number in 1\.\.8192"),
        ({"width": 32.0}, r"width is 32\.0"),
        ({"width": True}, "width is True"),
        ({"width": None}, "width is None"),
        ({"heads": 0}, "heads is 0"),
        ({"heads": 33}, r"heads is 33, not a whole number in 1\.\.32"),
        ({"heads": 3}, "a width of 32 does not split into 3 heads"),
        ({"heads": "x" * 1000}, "heads is 'x{39}, not"),
    ],
)
def test_transformers_that_cannot_be_are_refused_before_they_are_built(change, message):
    with pytest.raises(ValueError, match=message):
        ViTConfig(**({"width": 32, "depth": 2, "heads": 2} | change))


def test_whole_numbers_within_bounds():
    for value in (3, 5):
        check_whole("n", value, 3, 5)
    for value in (2, 6, 4.0, "4", None, float("nan")):
        with pytest.raises(ValueError, match=r"^n is .*, not a whole number in 3\.\.5$"):
            check_whole("n", value, 3, 5)
