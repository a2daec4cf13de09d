"""``zoo``: the published networks that convsmith knows, with what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convsmith.design import zoo as networks
from convsmith.scaling import Price, price


@dataclass(frozen=True)
class Listing:
    """Every network of the zoo: name, input (channels, height, width) and price."""

    networks: tuple[tuple[str, tuple[int, int, int], Price], ...]

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        return {
            "networks": [
                {"name": name, "input": list(input), "macs": cost.macs, "params": cost.params}
                for name, input, cost in self.networks
            ]
        }


def zoo() -> Listing:
    """The networks of the zoo with their exact cost."""
    designs = ((name, networks.load(name)) for name in networks.names())
    return Listing(tuple((name, design.input, price(design)) for name, design in designs))
