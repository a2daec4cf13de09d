"""S22: networks of the tutorial's references: an encoder-decoder and a generator with transposed convolutions."""

import json
from itertools import pairwise

import pytest
import torch
from torch import nn

from convsmith.cli.main import run
from convsmith.design import lower, zoo
from convsmith.interop.foreign_weights import match_weights
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights


@pytest.mark.slow
def test_the_generator_computes_what_that_of_pytorchs_example_does():
    """Radford et al., 2016; a 4x4 kernel makes 4x4 of one pixel, and each layer after it doubles the map."""
    torch.manual_seed(0)
    widths = (100, 512, 256, 128, 64)
    layers = []
    for number, (given, made) in enumerate(pairwise(widths)):
        convolution = nn.ConvTranspose2d(given, made, 4, 2 if number else 1, 1 if number else 0, bias=False)
        layers += [convolution, nn.BatchNorm2d(made), nn.ReLU()]
    theirs = nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()).double()
    theirs(torch.randn(4, 100, 1, 1, dtype=torch.float64))  # statistics of some noise
    theirs.eval()
    graph = lower(zoo.load("dcgan-generator"))
    ours = build(graph).double().eval()
    load_weights(ours, match_weights(graph, {name: value.numpy() for name, value in theirs.state_dict().items()}))
    noise = torch.randn(2, 100, 1, 1, dtype=torch.float64)
    assert ours(noise).shape == (2, 3, 64, 64)
    torch.testing.assert_close(ours(noise), theirs(noise), rtol=1e-12, atol=1e-13)


def test_the_deconvolution_network_goes_down_to_a_pixel_and_up_again(capsys):
    """Noh et al., 2015, figure 2: 224 pixels halved five times, one pixel, 7 pixels by the kernel alone, 224 again."""
    assert run(["inspect", "zoo:deconvnet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    output = {layer["name"]: layer["output"] for layer in found["layers"]}
    sides = [output[part["last"]][2] for part in found["sections"]]
    assert list(dict.fromkeys(sides[:9])) == [224, 112, 56, 28, 14, 7, 1]
    assert list(dict.fromkeys(sides[8:])) == [1, 7, 14, 28, 56, 112, 224]
    assert output["head.classifier.conv"] == [1, 21, 224, 224]
