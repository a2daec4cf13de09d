"""A graph as a trainable torch module.

The module is a plain one: containers nested by the dots of the node names, so that ``state_dict`` keys read like the
graph, and a list of steps worked out in advance, so that running it is a loop over integers that drops every value
after its last reader.
"""

from __future__ import annotations

from torch import Tensor, nn

from convsmith.errors import GraphError
from convsmith.interop.torch_steps import Child, Step, merged
from convsmith.ir import Graph, Node


class Network(nn.Module):
    """The module of a graph, see ``build``."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Step] = []
        self._merged: list[Step] = []
        self._outputs: tuple[int, ...] = ()
        self._inputs = 0

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the nodes in order.

        Args:
            inputs: One tensor per graph input, of any batch size.

        Returns:
            The output, or a tuple if the graph has several.
        """
        assert len(inputs) == self._inputs, f"takes {self._inputs} inputs, not {len(inputs)}"
        values: list[Tensor | None] = [*inputs, *[None] * len(self._steps)]
        for run, reads, output, dead in self._merged if self.training and self._merged else self._steps:
            values[output] = run(*[values[slot] for slot in reads])
            for slot in dead:
                values[slot] = None
        results = tuple([values[slot] for slot in self._outputs])
        return results[0] if len(results) == 1 else results  # pyright: ignore[reportReturnType]  # outputs never die

    def use_kernels(self, use: bool) -> None:
        """Train with the operators of ``convsmith.kernels`` where they can take a step's place, or with torch's alone.

        Parameters, buffers and the mode of evaluation stay as they are; hooks on merged modules are not called.
        """
        self._merged = merged(self._steps, self._outputs) if use else []


def build(graph: Graph) -> Network:
    """The graph as a freshly initialised module, in training mode.

    Each node's module is ``node.op.to_torch()`` at the place its name says; a node that ``shares`` runs the module of
    the named node.

    Raises:
        GraphError: If node names cannot be nested as modules, or a node shares with another operator.
    """
    network = Network()
    values = [*(name for name, _ in graph.inputs), *(node.name for node in graph.nodes)]
    slots = {value: slot for slot, value in enumerate(values)}
    places: dict[str, Child] = {}
    for node in graph.nodes:
        places[node.name] = _shared(graph, node, places) if node.shares else _place(graph, node, network)
        network._steps.append(
            Step(
                places[node.name],
                inputs=tuple(slots[value] for value in node.inputs),
                output=slots[node.name],
                dead=tuple(sorted(slots[value] for value in graph.last_uses[node.name])),
            )
        )
    network._inputs = len(graph.inputs)
    network._outputs = tuple(slots[value] for value in graph.outputs)
    return network


def _shared(graph: Graph, node: Node, places: dict[str, Child]) -> Child:
    owner = graph.node(node.shares)
    if owner.op != node.op:
        rule = f"node {node.name!r} must be the same operator as {owner.name!r}, whose parameters it shares"
        raise GraphError(rule, received=node.op, where=graph.name)
    return places[owner.name]


def _place(graph: Graph, node: Node, network: Network) -> Child:
    """Put the module of ``node`` where its name says."""
    *path, leaf = node.name.split(".")
    parent: nn.Module = network
    for part in path:
        if part not in parent._modules:
            _add(graph, node, parent, part, nn.Module())
        parent = parent.get_submodule(part)
        if type(parent) is not nn.Module:
            raise GraphError("a node's name must not begin with another's", received=node.name, where=graph.name)
    _add(graph, node, parent, leaf, node.op.to_torch())
    return Child(parent, leaf)


def _add(graph: Graph, node: Node, parent: nn.Module, part: str, module: nn.Module) -> None:
    if part in parent._modules:
        raise GraphError("a node's name must not begin another's", received=node.name, where=graph.name)
    if not part or hasattr(parent, part):
        raise GraphError(
            f"{part!r} cannot be part of a node's name, torch modules use it", received=node.name, where=graph.name
        )
    parent.add_module(part, module)
