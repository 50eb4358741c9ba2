"""What the decoder network learns from: logarithms of squared errors over the transform's.

The mean of PSNR over images is the aim, so a crop counts by its share of its image's squared
error. A constant inside the logarithm keeps crops that the network still spoils from dominating
the gradient. A floor under the errors does the same for drawn images, many of which the transform
decodes almost exactly.

B crops.
"""

from typing import Final

import torch
from torch import Tensor

from titokzip.tokenizers.embedded.network import Refined, enlarged
from titokzip.training.embedded.batches import Batch

FLOOR: Final = 3.0  # squared levels, added to all errors
SHARES: Final = (0.3, 3.0)  # least and most that a crop counts
SOFTNESS: Final = 0.25
DOUBLE: Final = 0.4  # weight of the image at twice the size


def loss_of(refined: Refined, batch: Batch) -> Tensor:
    """Give the loss of a batch, a scalar."""
    loss = _relative(refined.working, batch.decoded, batch.original, batch.error).mean()
    if len(batch.double):
        chosen = batch.has_double
        linear = enlarged(batch.decoded[chosen])
        double = _relative(refined.double[chosen], linear, batch.double, batch.error[chosen])
        loss = loss + DOUBLE * double.mean()
    return loss


def _relative(refined: Tensor, linear: Tensor, original: Tensor, error: Tensor) -> Tensor:
    """Give log(1/4 + error after / error before) of every crop, weighted by its share [B]."""
    before = (linear - original).square().mean((1, 2, 3)) + FLOOR
    after = (refined - original).square().mean((1, 2, 3)) + FLOOR
    share = (before / (error + FLOOR)).clamp(*SHARES)
    return share * (1 + SOFTNESS) * torch.log(SOFTNESS + after / before)
