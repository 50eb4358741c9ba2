"""What the generators' transformers are made of."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Softmax attention of queries [B, heads, T, C] to keys and values [B, heads, T, C]."""
    if not (q.requires_grad and q.device.type == "cpu"):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal)
    # Learning on a CPU, plain matrix products are faster than the fused kernel's backward pass.
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return F.dropout(scores.softmax(-1), dropout) @ v


def heads(x: Tensor, count: int) -> Tensor:
    """Split the width of x [B, T, D] into heads, [B, heads, T, D / heads]."""
    split: Tensor = x.reshape(*x.shape[:2], count, -1).transpose(1, 2)
    return split
