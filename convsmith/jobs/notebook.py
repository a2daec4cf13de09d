"""What a notebook shows of a design or a graph, both of which lie in layers that know nothing of pages."""

from __future__ import annotations

from convsmith.design import Design
from convsmith.errors import ConvsmithError
from convsmith.ir import Graph
from convsmith.jobs.inspect import inspect
from convsmith.report.markup import element
from convsmith.report.notebook import network_html


def html_of(network: Design | Graph) -> str:
    """Its inspection, or in one line why there is none."""
    try:
        return network_html(inspect(network).to_dict())
    except ConvsmithError as error:
        return element("p", element("b", network.name), f": {error}")
