"""What in an image decided a network's answer: occlusion, gradient times input, Grad-CAM and HiResCAM.

Every map is (H, W) of the network's input; above zero speaks for the class. The input is normalised, so that nothing,
zero, is the mean of the training pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from convsmith.explain.walk import walk
from convsmith.ir import Graph

Score = Callable[[Tensor], Tensor]
"""From images (N, C, H, W) to the score of one class, (N,)."""


def occlusion(score: Score, image: Tensor, window: int, stride: int, *, batch: int = 128) -> Tensor:
    """How far the score falls when a square is covered, averaged over the squares that cover a pixel.

    Covered pixels become the mean of the training pixels (Zeiler and Fergus, "Visualizing and Understanding
    Convolutional Networks", 2014, section 4.2). The last square of a row ends at the edge, wherever the stride leads.

    Args:
        score: The class.
        image: (C, H, W), normalised.
        window: Side of the square.
        stride: Step between squares, at most their side.
        batch: Covered images at a time.
    """
    assert stride <= window, "every pixel must be covered"
    _, height, width = image.shape
    corners = [(row, column) for row in _starts(height, window, stride) for column in _starts(width, window, stride)]
    total, count = (torch.zeros(height, width, dtype=torch.float64) for _ in range(2))
    with torch.inference_mode():
        whole = score(image[None])[0].double()
        for start in range(0, len(corners), batch):
            some = corners[start : start + batch]
            covered = image.expand(len(some), -1, -1, -1).clone()
            for one, (row, column) in zip(covered, some, strict=True):
                one[:, row : row + window, column : column + window] = 0
            for fall, (row, column) in zip(whole - score(covered).double(), some, strict=True):
                total[row : row + window, column : column + window] += fall
                count[row : row + window, column : column + window] += 1
    return total / count


def gradient_times_input(score: Score, image: Tensor) -> Tensor:
    """The gradient of the score times the input, summed over the channels.

    To first order it is what each pixel adds to the score over the mean pixel (Shrikumar et al., "Not Just a Black
    Box", 2016, arXiv 1605.01713, section 2); in a network of ReLUs without biases the sum is the score itself.
    """
    inputs = image[None].detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(score(inputs).sum(), inputs)
    return (gradient * inputs.detach())[0].sum(dim=0).double()


def class_activation(
    module: nn.Module, graph: Graph, image: Tensor, target: int, name: str, *, high_resolution: bool
) -> Tensor:
    """Grad-CAM or HiResCAM at the map called ``name``, enlarged to the input, never below zero.

    Grad-CAM weighs each channel by the mean of its gradient (Selvaraju et al., "Grad-CAM", 2017, equations 1 and 2);
    HiResCAM multiplies gradient and map place by place (Draelos and Carin, "Use HiResCAM instead of Grad-CAM", 2020,
    arXiv 2011.08891, equation 4). On the last map before global average pooling and one linear layer they are the same
    picture.
    """
    inputs, found = image[None].detach().clone().requires_grad_(), dict[str, Tensor]()
    with torch.enable_grad():
        for value, tensor in walk(module, graph, inputs):
            if value in (name, graph.outputs[0]):
                found[value] = tensor
        score = found[graph.outputs[0]][0, target]
        (gradient,) = torch.autograd.grad(score, found[name])
    weights = gradient if high_resolution else gradient.mean(dim=(2, 3), keepdim=True)
    small = functional.relu((weights * found[name].detach()).sum(dim=1, keepdim=True)).double()
    return functional.interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[0, 0]


def _starts(size: int, window: int, stride: int) -> Iterator[int]:
    yield from range(0, size - window, stride)
    yield max(0, size - window)
