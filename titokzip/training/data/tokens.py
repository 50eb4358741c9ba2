"""Stored tokens: read from .npy or Parquet, and given in batches for generators.

`titokzip tokens` writes them. An .npy file is mapped, not read: memory stays flat. Beside it lies
NAME.json with what the tokens are; a Parquet file carries the same in its metadata.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from titokzip.errors import FormatError
from titokzip.generation.randomness import combine
from titokzip.training.data.loader import Batch, Share

HOW_TO_INSTALL: Final = "pip install pyarrow"
METADATA: Final = b"titokzip"  # key in the metadata of a Parquet file


@dataclass(frozen=True)
class TokenFacts:
    """What stored tokens are."""

    model: str  # name of the tokenizer
    fingerprint: str  # hexadecimal, of what its tokens mean
    length: int  # L, tokens an image
    vocabulary: int  # K, values of a token
    classes: tuple[str, ...] = ()  # names of the classes, in order of their numbers

    def to_json(self) -> str:
        """Write them."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class StoredTokens:
    """Tokens [N, L] of N images, and the number of each image's class, -1 for none."""

    facts: TokenFacts
    tokens: NDArray[np.integer[Any]]
    labels: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        return len(self.tokens)


def read(path: Path) -> StoredTokens:
    """Open stored tokens.

    Raises:
        FormatError: the file is not what `titokzip tokens` writes.
    """
    try:
        if path.suffix == ".parquet":
            facts, tokens, labels = _read_parquet(path)
        else:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
            tokens, labels = rows["tokens"], rows["class"]
            facts = _facts(path.with_name(path.name + ".json").read_bytes())
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise FormatError(f"{path}: not a file of stored tokens ({error})") from error
    stored = StoredTokens(facts, tokens, labels)
    if tokens.shape != (len(labels), facts.length) or not len(labels):
        raise FormatError(f"{path}: tokens {tokens.shape} do not fit what is said of them")
    return stored


def _read_parquet(path: Path) -> tuple[TokenFacts, NDArray[Any], NDArray[Any]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise FormatError(f"{path}: {HOW_TO_INSTALL} reads Parquet files") from error
    try:
        table = parquet.read_table(path, columns=["tokens", "class"], memory_map=True)
    except Exception as error:  # Arrow has errors of its own for every kind of damage
        raise ValueError(" ".join(str(error).split())[:200]) from error
    facts = _facts((table.schema.metadata or {})[METADATA])
    tokens = table["tokens"].combine_chunks().flatten().to_numpy().reshape(-1, facts.length)
    return facts, tokens, table["class"].to_numpy()


def _facts(data: bytes) -> TokenFacts:
    table = json.loads(data)
    return TokenFacts(
        str(table["model"]),
        str(table["fingerprint"]),
        int(table["length"]),
        int(table["vocabulary"]),
        tuple(map(str, table["classes"])),
    )


def split(stored: StoredTokens, count: int, share: float) -> tuple[Batch, StoredTokens]:
    """Take up to `count` samples for validation off the end, and leave the rest for training.

    With a share of 0 nothing is taken off: the samples are trained on too.
    """
    kept = min(count, int(len(stored) * share)) if share else 0
    rows = slice(len(stored) - (kept or min(count, len(stored))), len(stored))
    samples = {
        "tokens": torch.from_numpy(stored.tokens[rows].astype(np.int64)),
        "label": torch.from_numpy(stored.labels[rows].astype(np.int64)),
    }
    samples["seed"] = torch.arange(len(samples["label"]))
    rest = slice(0, len(stored) - kept)
    return samples, StoredTokens(stored.facts, stored.tokens[rest], stored.labels[rest])


class TokenBatches:
    """An endless iterator of batches: tokens int64 [B, L], label and seed int64 [B].

    Every image comes once before any comes again; processes get disjoint rows of each batch.
    """

    broken = 0

    def __init__(
        self,
        stored: StoredTokens,
        batch: int,
        *,
        seed: int = 0,
        share: Share | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.stored, self.batch, self.seed = stored, batch, seed
        self.share = share or Share()
        self.drawn: int = (state or {}).get("drawn", 0)  # by all processes together
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Give the next batch."""
        count = self.batch * self.share.processes
        numbers = range(self.drawn + self.share.rank, self.drawn + count, self.share.processes)
        self.drawn += count
        rows = np.array([self._row(number) for number in numbers])
        seeds = [combine(self.seed, number) for number in numbers]
        return {
            "tokens": torch.from_numpy(self.stored.tokens[rows].astype(np.int64)),
            "label": torch.from_numpy(self.stored.labels[rows].astype(np.int64)),
            "seed": torch.tensor(seeds),
        }

    def state(self) -> dict[str, Any]:
        """Say how far it has come."""
        return {"drawn": self.drawn}

    def _row(self, number: int) -> int:
        epoch, at = divmod(number, len(self.stored))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self.seed, epoch]).permutation(len(self.stored))
        return int(self._order[at])
