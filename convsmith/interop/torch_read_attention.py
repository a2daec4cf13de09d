"""Attention as one torch function becomes projections, products and a softmax; see ``torch_read_layers``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.interop.recorder import Value
from convsmith.interop.torch_read_layers import Handler
from convsmith.interop.torch_trace import Trace, make
from convsmith.ops import Linear, Permute, Reshape, ScaledDotProductAttention, Slice


def _multi_head_attention(t: Trace, query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int,
                          in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None,
                          bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor,
                          out_proj_bias: Tensor | None, *_: Any, attn_mask: Tensor | None = None,
                          **options: Any) -> Any:  # fmt: skip
    """(L, N, E) in, (L, N, E) out, as ``torch.nn.MultiheadAttention`` calls it after turning batch_first round."""
    plain = in_proj_weight is not None and bias_k is None and bias_v is None and not add_zero_attn
    same = query is key and key is value
    if not (plain and same and attn_mask is None and id(query) in t.values and query.dim() == 3):
        return NotImplemented
    batch = query.shape[1]
    assert in_proj_weight is not None
    together = t.layer(
        make(Linear, embed_dim, 3 * embed_dim, in_proj_bias is not None),
        t.values[id(query)],
        in_proj_weight,
        in_proj_bias,
    )
    joined = t.values[id(together)]
    heads = []
    for part in range(3):
        cut = t.step(make(Slice, 2, part * embed_dim, (part + 1) * embed_dim, 1), joined, function="slice")
        split = t.step(make(Reshape, (-1, batch, num_heads, embed_dim // num_heads)), cut, function="reshape")
        heads.append(t.step(make(Permute, (1, 2, 0, 3)), split, function="permute"))
    mixed = t.step(make(ScaledDotProductAttention), *heads, function="attention")
    back = t.step(make(Permute, (2, 0, 1, 3)), mixed, function="permute")
    flat: Value = t.step(make(Reshape, (-1, batch, embed_dim)), back, function="reshape")
    output = t.layer(
        make(Linear, embed_dim, embed_dim, out_proj_bias is not None), flat, out_proj_weight, out_proj_bias
    )
    return output, None


ATTENTION: Mapping[Any, Handler] = {F.multi_head_attention_forward: _multi_head_attention}
"""The handler of every function that is a whole attention block."""
