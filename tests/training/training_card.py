"""A pretended graphics card: tensors that say they are elsewhere, and that meet no others, as on a real one.

They hold ordinary tensors, on which everything is computed, so that a training on the card can be held against one on
the processor to the bit. Only copies cross over, and only single numbers may be given along with what lies on the card.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from convsmith.training.setup import Setup

_PLACE = torch.device("meta")  # whose gradients torch works out without a driver
_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default, torch.ops.aten._foreach_copy_.default)


class CardTensor(torch.Tensor):
    """A tensor on the card."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> CardTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), dtype=held.dtype, device=_PLACE
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


class _Machine(TorchDispatchMode):
    """Sees every operator, those that make tensors from nothing too."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


def _computed(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    on_card = [one for one in tensors if isinstance(one, CardTensor)]
    others = [one for one in tensors if not isinstance(one, CardTensor)]
    numbers_allowed = not function._schema.name.startswith("aten::_fused")
    if on_card and function not in _COPIES and any(one.dim() or not numbers_allowed for one in others):
        raise RuntimeError(f"{function}: all tensors must be on the same device")
    asked = kwargs.get("device")
    to_card = torch.device(asked) == _PLACE if asked is not None else bool(on_card)
    here = {key: "cpu" if key == "device" and value is not None else value for key, value in kwargs.items()}
    found = function(*tree_map(_held, args), **tree_map(_held, here))
    if function._schema.is_mutable and function._schema.name.endswith("_"):
        return None if found is None else args[0]
    return tree_map(lambda one: CardTensor(one) if to_card and isinstance(one, Tensor) else one, found)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, CardTensor) else value


class Calls(list[tuple[Any, ...]]):
    """What the card was asked for, by name."""

    def names(self) -> set[str]:
        return {call[0] for call in self}


@contextlib.contextmanager
def pretended_card(patch: pytest.MonkeyPatch, *, bfloat16: bool = True) -> Iterator[Calls]:
    """A machine with a card, which does bfloat16 or float16."""
    calls = Calls()

    def told(name: str, answer: Any = None) -> Any:
        return lambda *about, **_: calls.append((name, *about)) or answer

    def autocast(device: str, dtype: torch.dtype, enabled: bool) -> contextlib.AbstractContextManager[None]:
        calls.append(("autocast", device, dtype, enabled))
        return contextlib.nullcontext()

    patch.setattr(torch.cuda, "is_available", lambda: True)
    patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bfloat16)
    patch.setattr(torch.cuda, "current_device", lambda: 0)
    patch.setattr(torch.cuda, "get_device_name", lambda: "Pretended")
    for name, answer in (("manual_seed", None), ("synchronize", None), ("get_rng_state", 7), ("set_rng_state", None)):
        patch.setattr(torch.cuda, name, told(name, answer))
    patch.setattr(Tensor, "pin_memory", lambda self: calls.append(("pin_memory", self.shape)) or self)
    patch.setattr(torch, "autocast", autocast)
    supported = [_PLACE.type, "cpu"]
    patch.setattr("torch.utils._foreach_utils._get_foreach_kernels_supported_devices", lambda: supported)
    patch.setattr(sys.modules["torch.optim.optimizer"], "_get_fused_kernels_supported_devices", lambda: supported)
    place = property(lambda self: _PLACE if self.device == "cuda" else torch.device("cpu"))
    patch.setattr(Setup, "torch_device", place)
    with _Machine():
        yield calls
