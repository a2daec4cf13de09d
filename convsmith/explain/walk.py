"""The values inside a network while it runs, one after the other, so that only those in use are in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import Tensor, nn

from convsmith.ir import Graph


def walk(module: nn.Module, graph: Graph, *inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Run a network node by node.

    Args:
        module: What ``interop.torch_module.build`` made of ``graph``, in the mode in which it should run.
        graph: Its graph.
        inputs: One tensor per graph input, of any batch size.

    Yields:
        Name and value of each node, in running order. A value that the caller drops is freed once nothing reads it.
    """
    values = {name: tensor for (name, _), tensor in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        value = values[node.name] = module.get_submodule(node.weights)(*[values[name] for name in node.inputs])
        yield node.name, value
        del value
        for name in graph.last_uses[node.name]:
            del values[name]


def pick(module: nn.Module, graph: Graph, names: Collection[str], *inputs: Tensor) -> dict[str, Tensor]:
    """The values called ``names`` of one run, which ends as soon as they are all there."""
    wanted, found = set(names), dict[str, Tensor]()
    for name, value in walk(module, graph, *inputs):
        if name in wanted:
            found[name] = value
            if len(found) == len(wanted):
                break
    assert len(found) == len(wanted), f"no such values: {sorted(wanted - set(found))}"
    return found
