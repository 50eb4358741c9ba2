"""How likely the digits of tokens are: integer tables, and what they are looked up by.

A digit belongs to a coefficient of its tile. How likely its values are is looked up by the sign of
that coefficient so far, and by how large its witnesses are: other coefficients of the same tile,
and coefficients of the tiles beside it. titokzip/training/prior.py makes the tables.

N tiles, L tokens, T digits a token, D = L * T digits, R values a digit, J coefficients,
K witnesses, which are coefficients of a tile (j) or of those beside it (J + j), C classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

TOTAL = 2**24  # of a row of frequencies: constriction's precision, so that they pass exactly
_SIZE = 12  # of a coefficient that is 1: divides by 1, 2, 3 and 4, the tiles that lie beside one


@dataclass(frozen=True)
class ContextModel:
    """How likely the values of each digit are; integers only."""

    digits: int  # T
    radix: int  # R
    balanced: bool  # digits are -1, 0, 1 and not 0..R-1
    coefficient: Integers  # [D] whose digit it is, 0..J-1
    weight: Integers  # [D] what a unit of it adds to the coefficient
    witnesses: Integers  # [D, K] coefficients whose size tells about this digit
    importance: Integers  # [D, K] how much each of them does
    thresholds: Integers  # [D, 2, C - 1] part activity into classes; of lone tiles, of others
    frequencies: Integers  # [D, 2 * C * 3, R] rows that sum to TOTAL, nothing below 1

    def __post_init__(self) -> None:
        count, witnesses, classes = self._shape()
        if self.digits < 1 or count % self.digits or self.radix < 2:
            raise ValueError(f"{count} digits make no tokens of {self.digits}")
        if self.balanced and self.radix != 3:
            raise ValueError(f"digits of {self.radix} values are not balanced")
        expected = {
            "coefficient": (count,),
            "weight": (count,),
            "witnesses": (count, witnesses),
            "importance": (count, witnesses),
            "thresholds": (count, 2, classes - 1),
            "frequencies": (count, 6 * classes, self.radix),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        rows = self.frequencies.sum(axis=-1)
        if (rows != TOTAL).any() or (self.frequencies < 1).any():
            raise ValueError(f"frequencies are positive and sum to {TOTAL}")
        if not 0 <= self.coefficient.min() <= self.coefficient.max() < count:
            raise ValueError("every coefficient has a digit")
        if ((self.witnesses < 0) | (self.witnesses >= 2 * self.coefficients)).any():
            raise ValueError("witnesses are coefficients")

    def _shape(self) -> tuple[int, int, int]:
        """Read D, K and C off the tables."""
        if self.coefficient.ndim != 1 or self.witnesses.ndim != 2 or self.thresholds.ndim != 3:
            raise ValueError("tables have one, two or three dimensions")
        if not len(self.coefficient):
            raise ValueError("there are no digits")
        return len(self.coefficient), self.witnesses.shape[1], self.thresholds.shape[2] + 1

    @property
    def coefficients(self) -> int:
        """J, coefficients of a tile."""
        return int(self.coefficient.max()) + 1

    @cached_property
    def starts(self) -> list[int]:
        """Digits at which a run starts."""
        return starts(self.coefficient, self.digits)

    def runs(self, start: int, stop: int) -> Iterator[slice]:
        """Part the digits from `start` to `stop` into runs."""
        edges = [start, *(d for d in self.starts if start < d < stop), stop]
        return map(slice, edges, edges[1:])

    def to_tables(self) -> dict[str, NDArray[np.int32]]:
        """List everything as arrays, to travel with the weights."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: np.asarray(value, np.int32) for name, value in values.items()}

    @classmethod
    def from_tables(cls, tables: Mapping[str, NDArray[np.int32]]) -> "ContextModel":
        """Read what `to_tables` listed; its inverse."""
        values: dict[str, Any] = {name: table.astype(np.int64) for name, table in tables.items()}
        values |= {name: int(values[name]) for name in ("digits", "radix")}
        return cls(**values | {"balanced": bool(values["balanced"])})


def starts(coefficient: Integers, digits: int) -> list[int]:
    """Find where runs start: at every token, and at the second digit of a coefficient in a run."""
    found: list[int] = []
    inside: set[int] = set()
    for d, own in enumerate(coefficient.tolist()):
        if d % digits == 0 or own in inside:
            found.append(d)
            inside.clear()
        inside.add(own)
    return found


def to_digits(
    tokens: NDArray[np.int32], digits: int, radix: int, balanced: bool
) -> NDArray[np.int32]:
    """Take tokens [N, L] apart; [D, N]."""
    powers = radix ** np.arange(digits)
    apart = tokens.T[:, None] // powers[:, None] % radix - int(balanced)
    return apart.reshape(-1, len(tokens)).astype(np.int32)


class Known:
    """The coefficients of some tiles as far as both sides know them, and how large they are."""

    def __init__(self, coefficients: int, near: Integers) -> None:
        """Know nothing of N tiles; `near` [N, 4] is what `tiling.neighbours` gives."""
        self.near = near
        self.tiles_beside = (near < len(near)).sum(axis=1)
        self.kind = np.minimum(self.tiles_beside, 1)  # 0: a tile that lies alone
        self.values = np.zeros((coefficients, len(near)), np.int32)
        # Twelve times the size of each coefficient, then of its mean over the tiles beside.
        self.sizes = np.zeros((2 * coefficients, len(near)), np.int32)

    def activity(self, witnesses: Integers, importance: Integers) -> Integers:
        """Weigh the sizes of witnesses [r, K] of each tile; [r, N]."""
        activity: Integers = (self.sizes[witnesses] * importance[..., None]).sum(axis=1)
        return activity

    def rows(self, coefficients: Integers, activity: Integers, thresholds: Integers) -> Integers:
        """Find which row of frequencies digits of coefficients [r] have in each tile; [r, N]."""
        level = (activity[..., None] >= thresholds[:, self.kind]).sum(axis=2)
        level += self.kind * (thresholds.shape[2] + 1)
        rows: Integers = 3 * level + np.sign(self.values[coefficients]) + 1
        return rows

    def learn(self, coefficients: Integers, change: Integers) -> None:
        """Add to the values of coefficients [r], each another, in all tiles; [r, N]."""
        self.values[coefficients] += change
        sizes = _SIZE * np.abs(self.values[coefficients])
        self.sizes[coefficients] = sizes
        around = np.pad(sizes, ((0, 0), (0, 1)))[:, self.near].sum(axis=2)
        self.sizes[len(self.values) + coefficients] = around // np.maximum(self.tiles_beside, 1)
