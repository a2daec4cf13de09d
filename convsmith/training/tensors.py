"""Many tensors copied in one call."""

from __future__ import annotations

from collections.abc import Iterable

import torch


@torch.no_grad()
def copy_tensors(source: Iterable[torch.Tensor], target: Iterable[torch.Tensor]) -> None:
    """Give each of ``target`` the values of the one in its place in ``source``, of the same shape."""
    targets = list(target)
    if targets:
        torch._foreach_copy_(targets, list(source))  # pyright: ignore[reportPrivateImportUsage]
