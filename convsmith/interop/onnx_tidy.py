"""What an ONNX file spells apart and a graph keeps together: biases, weights used twice, names that nest.

Each step takes a graph with its weights, arrays by node and by parameter, and gives both back changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from numpy.typing import NDArray

from convsmith.ir import Graph, Node
from convsmith.ops import Add, Constant, Conv1d, Conv2d, ConvTranspose2d, Linear

Weights = dict[str, dict[str, NDArray[Any]]]

_LAYERS: Final = (Conv1d, Conv2d, ConvTranspose2d, Linear)

_TAKEN: Final = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules
    mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
    state_dict to to_empty train training type xpu use_kernels zero_grad
    """.split()
)
"""Names that torch modules use themselves."""


def absorb_biases(graph: Graph, weights: Weights) -> tuple[Graph, Weights]:
    """A stored vector added to what a layer without bias gives is that layer's bias."""
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    readers.update(graph.outputs)
    by_name = {node.name: node for node in graph.nodes}
    kept, arrays = dict(by_name), dict(weights)
    for node in graph.nodes:
        if type(node.op) is not Add:
            continue
        layer, constant = (by_name.get(value) for value in node.inputs)
        if layer is not None and isinstance(layer.op, Constant):
            layer, constant = constant, layer
        if layer is None or constant is None or readers[layer.name] > 1 or not _fits(graph, layer, constant):
            continue
        vector = arrays[constant.name]["value"].reshape(-1)
        kept[layer.name] = Node(node.name, replace(layer.op, bias=True), layer.inputs)  # type: ignore[type-var]
        arrays[node.name] = {**arrays.pop(layer.name), "bias": vector}
        del kept[node.name]
        readers[constant.name] -= 1
        if not readers[constant.name]:
            del kept[constant.name], arrays[constant.name]
    return _with_nodes(graph, kept), arrays


def _fits(graph: Graph, layer: Node, constant: Node) -> bool:
    """Whether the constant is one number per feature of a layer that has no bias."""
    op = layer.op
    if not isinstance(op, _LAYERS) or op.bias or not isinstance(constant.op, Constant):
        return False
    output, shape = graph.types[layer.name].shape, constant.op.shape
    axis = len(output) - 1 if isinstance(op, Linear) and op.axis == -1 else 1
    if len(shape) > len(output):
        return False
    aligned = (1,) * (len(output) - len(shape)) + shape
    return aligned == tuple(size if place == axis else 1 for place, size in enumerate(output))


def _with_nodes(graph: Graph, nodes: Mapping[str, Node]) -> Graph:
    if len(nodes) == len(graph.nodes):
        return graph
    return replace(graph, nodes=tuple(nodes.values())).with_types(graph.types)


def share_weights(graph: Graph, weights: Weights) -> tuple[Graph, Weights]:
    """Layers that read the very same stored tensors share them.

    Exporters store equal tensors once, which all norms of an untrained network have: arrays of a single number are
    no sign of sharing.
    """
    owners: dict[Any, str] = {}
    nodes, arrays = list[Node](), dict(weights)
    for node in graph.nodes:
        own = weights.get(node.name, {})
        places = tuple((name, array.__array_interface__["data"][0], array.strides) for name, array in own.items())
        owner = owners.setdefault((node.op, places), node.name) if own else node.name
        if owner != node.name and any(array.min() != array.max() for array in own.values()):
            node = replace(node, shares=owner)
            del arrays[node.name]
        nodes.append(node)
    changed = len(arrays) != len(weights)
    return (replace(graph, nodes=tuple(nodes)) if changed else graph), arrays


def nest_names(graph: Graph, weights: Weights) -> tuple[Graph, Weights]:
    """Names under which the nodes can be the modules of a tree: none begins another's, none is torch's own."""
    leaves = {node.name for node in graph.nodes}
    new, taken = dict[str, str](), {name for name, _ in graph.inputs}
    for node in graph.nodes:
        name = _nested(node.name, leaves)
        while name in taken or (name != node.name and name in leaves):
            name += "_"
        new[node.name] = name
        taken.add(name)
    if all(old == name for old, name in new.items()):
        return graph, weights
    nodes = tuple(
        Node(new[node.name], node.op, tuple(new.get(value, value) for value in node.inputs), new.get(node.shares, ""))
        for node in graph.nodes
    )
    types = {new.get(value, value): type for value, type in graph.types.items()}
    outputs = tuple(new.get(value, value) for value in graph.outputs)
    renamed = Graph(graph.name, graph.inputs, nodes, outputs).with_types(types)
    return nest_names(renamed, {new[name]: arrays for name, arrays in weights.items()})


def _nested(name: str, leaves: set[str]) -> str:
    """The name with an underscore for each dot that would put it below another node."""
    parts = name.split(".")
    result = ""
    for place, part in enumerate(parts):
        part = part.lstrip("_") or "node"
        part = f"{part}_" if part in _TAKEN else part
        below = ".".join(parts[:place]) in leaves
        result += part if not place else f"_{part}" if below else f".{part}"
    return result
