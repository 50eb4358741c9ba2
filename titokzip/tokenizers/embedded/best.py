"""Encoding with the decoder at hand: analysis by synthesis.

Files of several working sizes are decoded, and the nearest to the image is kept. Then what the
decoder network adds to it is taken off what is coded, so that no bits are spent on it, and the file
is made again, as long as that is nearer.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from titokzip.entropy.context_model import ContextModel
from titokzip.tokenizers.embedded.candidates import Candidate
from titokzip.tokenizers.embedded.quantizer import Quantising
from titokzip.tokenizers.embedded.rate_control import Encoder, slope_at
from titokzip.tokenizers.embedded.search import Encoded, FileSize, Search, Searches, Trial
from titokzip.transform.planes import Planes
from titokzip.transform.pyramid import analyse

_ROUNDS: Final = 2  # of analysis by synthesis; a third gains next to nothing


class Judge(Protocol):
    """What decodes an image as its receiver will."""

    def error(self, encoded: Encoded) -> float:
        """Give the squared error of the decoded image, a pixel of the source."""

    def added(self, encoded: Encoded) -> Planes:
        """Give what the decoder network adds to the planes [C, H, W] of the working image."""


class _Choice(NamedTuple):
    cost: float  # squared error, and what the file costs itself
    place: int  # of its working size
    encoded: Encoded


_Again = Callable[[int, Candidate], Quantising[list[_Choice]]]  # of a working size, changed


class BestEncoder(Encoder):
    """One image, encoded so that it is nearest to the original once it is decoded."""

    def __init__(
        self,
        source: Planes,
        model: ContextModel,
        size: tuple[int, int] | None,
        lagrange: float,
        judge: Judge,
    ) -> None:
        """Take what `Encoder` takes, and a judge.

        It decides among five working sizes, the one that is chosen without it in the middle.
        """
        super().__init__(source, model, size, lagrange)
        self.judge = judge

    def at_quality(self, quality: float) -> Quantising[Encoded]:
        """Encode at a quality from 1 to 100."""
        slope, trials = slope_at(quality), dict[int, Trial]()
        choices = []
        for place in self.candidates.around((yield from self._best(slope, trials))):
            trial = yield from self._tried(trials, slope, place)
            choices += self._choices(place, trial, slope)

        def again(place: int, candidate: Candidate) -> Quantising[list[_Choice]]:
            trial = yield from self._quantise(slope, candidate)
            return self._choices(place, trial, slope)

        return (yield from self._nearer(_nearest(choices), again))

    def within(self, limit: int, file_size: FileSize) -> Quantising[Encoded]:
        """Encode in at most so many bytes.

        Raises:
            RateError: even the coarsest file is larger.
        """
        searches = Searches(limit, file_size)
        best = yield from self._fullest(searches)
        if searches.made[best].best is None:
            return (yield from self._smallest(limit, file_size))
        choices = []
        for place in self.candidates.around(best):
            choices += self._fitting(place, (yield from self._searched(searches, place)))

        def again(place: int, candidate: Candidate) -> Quantising[list[_Choice]]:
            search = Search(limit, file_size)
            yield from self._search(search, candidate, searches.made[place].fits)
            return self._fitting(place, search)

        return (yield from self._nearer(_nearest(choices), again))

    def _nearer(self, choice: _Choice, again: _Again) -> Quantising[Encoded]:
        """Encode again without what the network adds, while that brings the image nearer."""
        for _ in range(_ROUNDS):
            if not choice.encoded.refined:
                break
            found = _nearest([choice, *(yield from again(choice.place, self._less_added(choice)))])
            if found is choice:
                break
            choice = found
        return choice.encoded

    def _fitting(self, place: int, search: Search) -> list[_Choice]:
        """Judge what a search found, as far as it is within the limit."""
        files = _with_and_without(search.best) if search.best else []
        fitting = [file for file in files if search.size_of(file) <= search.limit]
        return [_Choice(self.judge.error(file), place, file) for file in fitting]

    def _choices(self, place: int, trial: Trial, slope: float) -> list[_Choice]:
        """Judge what was quantised at a quality."""
        cost, files = slope * trial.bits, _with_and_without(trial.encoded)
        return [_Choice(self.judge.error(file) + cost, place, file) for file in files]

    def _less_added(self, choice: _Choice) -> Candidate:
        """Take off a candidate what the network adds to an image that was made of it."""
        candidate = self.candidates.at(choice.place)
        added = analyse(self.judge.added(choice.encoded))
        return replace(candidate, coefficients=candidate.coefficients.less(added))


def _with_and_without(encoded: Encoded) -> list[Encoded]:
    """Give an image as the transform decodes it, and refined by the network, if it may help."""
    return [replace(encoded, refined=False), *([encoded] if encoded.refined else [])]


def _nearest(choices: list[_Choice]) -> _Choice:
    return min(choices, key=lambda choice: choice.cost)
