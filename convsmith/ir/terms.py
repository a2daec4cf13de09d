"""The cost ledger: what an operator does, kept apart by kind so that any counting convention can be derived."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Terms:
    """Exact integer work of one operator on one input.

    Attributes:
        taps: Multiply-adds of convolutions and linear layers, zeros of the padding included.
        bias: Additions of a bias, one per output element.
        norm: Elements that pass a normalisation.
        activation: Elements that pass an activation.
        pool: Elements read by pooling windows, those in the padding included.
        add: Elements of an addition or a product of two feature maps.
        resize: Output elements of an interpolation.
        attention: Multiply-adds of products of two activations.
    """

    taps: int = 0
    bias: int = 0
    norm: int = 0
    activation: int = 0
    pool: int = 0
    add: int = 0
    resize: int = 0
    attention: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds: what the field quotes as the size of a network's computation."""
        return self.taps + self.attention

    def __add__(self, other: Terms) -> Terms:
        return Terms(
            self.taps + other.taps,
            self.bias + other.bias,
            self.norm + other.norm,
            self.activation + other.activation,
            self.pool + other.pool,
            self.add + other.add,
            self.resize + other.resize,
            self.attention + other.attention,
        )

    def to_dict(self) -> dict[str, int]:
        """Every term by name, zeros included."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
