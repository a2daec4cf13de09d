"""``convsmith zoo``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, print_json, print_text
from convsmith.cli.page import print_table
from convsmith.design import zoo as networks
from convsmith.jobs.zoo import zoo
from convsmith.quantities import format_shape


def _command(
    name: Annotated[str | None, typer.Argument(help="Print the design file of this network.")] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """List the published networks that convsmith knows, or print one as a design file."""
    if name is not None:
        text = networks.text(name.removeprefix("zoo:"))
        if json:
            print_json({"design": text})
        else:
            print_text(text.rstrip())
        return
    listing = zoo()
    if json:
        print_json(listing.to_dict())
        return
    rows = [(name, format_shape(input), f"{cost.params:,}", f"{cost.macs:,}") for name, input, cost in listing.networks]
    print_table(("name", "input", "params", "macs"), rows)


command = make_command(_command, "zoo")
