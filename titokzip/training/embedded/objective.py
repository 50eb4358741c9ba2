"""What the decoder network learns from: logarithms of squared errors over the transform's.

The mean of PSNR over images is the aim, so a crop counts by its share of its image's squared
error. A constant inside the logarithm keeps crops that the network still spoils from dominating
the gradient. A floor under the errors does the same for drawn images, many of which the transform
decodes almost exactly.

The transform leaves steps between its blocks. Most of what the network leaves of them costs next to
nothing in squared error, but an eye follows lines, so unevenness is penalised by itself.

B crops of S x S pixels.
"""

from typing import Final

import torch
from torch import Tensor

from titokzip.tokenizers.embedded.network import Refined, enlarged
from titokzip.training.embedded.batches import Batch
from titokzip.transform.lapped import SIDE

FLOOR: Final = 3.0  # squared levels, added to all errors
SHARES: Final = (0.3, 3.0)  # least and most that a crop counts
SOFTNESS: Final = 0.25
DOUBLE: Final = 0.4  # weight of the image at twice the size
UNEVEN: Final = 0.5  # weight of unevenness
MOST: Final = 3.0  # of a step over the mean of its crop
_LEAST_STEP = 0.5  # levels, added to what the steps of a crop are compared with


def loss_of(refined: Refined, batch: Batch) -> Tensor:
    """Give the loss of a batch, a scalar: errors, and unevenness."""
    uneven = unevenness(refined.working, SIDE)
    if len(batch.double):
        uneven = uneven + DOUBLE * unevenness(refined.double[batch.has_double], 2 * SIDE)
    return error_of(refined, batch) + UNEVEN * uneven


def error_of(refined: Refined, batch: Batch) -> Tensor:
    """Give the logarithms of the errors of a batch, averaged."""
    error = _relative(refined.working, batch.decoded, batch.original, batch.error).mean()
    if len(batch.double):
        chosen = batch.has_double
        linear = enlarged(batch.decoded[chosen])
        double = _relative(refined.double[chosen], linear, batch.double, batch.error[chosen])
        error = error + DOUBLE * double.mean()
    return error


def unevenness(images: Tensor, side: int) -> Tensor:
    """Measure how the steps between pixels [B, 3, S, S] depend on their place in a block.

    The steps of a crop are taken over their mean, and those far above it, which are lines, as
    MOST. What the mean step at a place in a block of `side` pixels has above that of all places is
    multiplied between two halves of the crops, so that chance gives 0 on average. The sum over
    places along both axes; 0 of a single crop.
    """
    total = images.new_zeros(())
    if len(images) < 2:
        return total
    for axis, other in ((2, 3), (3, 2)):
        steps = images.diff(dim=axis).abs().mean((1, other))  # [B, S - 1]
        steps = (steps / (steps.mean(1, keepdim=True) + _LEAST_STEP)).clamp(max=MOST)
        places = steps[:, side - 1 :].reshape(len(steps), -1, side).mean(1)  # [B, side]
        one, two = (half.mean(0) / (half.mean() + 1e-3) - 1 for half in (places[::2], places[1::2]))
        total = total + (one * two).sum()
    return total


def _relative(refined: Tensor, linear: Tensor, original: Tensor, error: Tensor) -> Tensor:
    """Give log(1/4 + error after / error before) of every crop, weighted by its share [B]."""
    before = (linear - original).square().mean((1, 2, 3)) + FLOOR
    after = (refined - original).square().mean((1, 2, 3)) + FLOOR
    share = (before / (error + FLOOR)).clamp(*SHARES)
    return share * (1 + SOFTNESS) * torch.log(SOFTNESS + after / before)
