"""Every zoo network against its published parameters, multiply-adds and activations, to the last digit."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convsmith.analysis import cost
from convsmith.design import lower, parse_design, write_design, zoo
from convsmith.design.regnet import PUBLISHED as REGNETS
from convsmith.design.regnet import RegNet, regnet
from convsmith.errors import DesignError, ModelError
from convsmith.scaling.axes import Factors, scale

# pycls, dev/model_complexity.json of 2020-09-04: parameters; multiply-adds with an addition for each bias; activations,
# max pooling among them.
PYCLS = {
    "efficientnet-b0": (5_288_548, 385_825_092, 6_748_036),
    "efficientnet-b1": (7_794_184, 686_817_992, 10_884_328),
    "efficientnet-b2": (9_109_994, 993_578_282, 13_832_834),
    "efficientnet-b3": (12_233_232, 1_827_162_472, 23_831_296),
    "efficientnet-b4": (19_341_616, 4_393_801_064, 49_489_032),
    "efficientnet-b5": (30_389_784, 10_266_426_072, 98_857_400),
    "regnetx-1.6gf": (9_190_136, 1_602_850_792, 7_933_512),
    "regnetx-200mf": (2_684_792, 199_040_872, 2_164_056),
    "regnetx-4.0gf": (22_118_248, 3_964_499_816, 12_201_608),
    "regnetx-400mf": (5_157_512, 397_678_568, 3_143_272),
    "regnetx-600mf": (6_196_040, 600_891_112, 3_975_096),
    "regnetx-800mf": (7_259_656, 799_700_712, 5_148_744),
    "regnety-1.6gf": (11_202_430, 1_612_087_326, 8_044_814),
    "regnety-200mf": (3_162_996, 199_519_076, 2_168_052),
    "regnety-4.0gf": (20_646_656, 3_973_301_344, 12_287_200),
    "regnety-400mf": (4_344_144, 401_849_056, 3_892_496),
    "regnety-600mf": (6_055_160, 601_227_608, 4_334_296),
    "regnety-800mf": (6_263_168, 797_183_328, 5_249_888),
    "resnet101": (44_549_160, 7_801_406_440, 16_433_640),
    "resnet152": (60_192_808, 11_513_627_624, 22_755_816),
    "resnet50": (25_557_032, 4_089_185_256, 11_315_688),
}

# Parameters as torchvision 0.29.1 (num_params) or timm 1.0.31 has them; multiply-adds by torch's flop counter, halved,
# on that module; activations where somebody gives them.
MODULES = {
    "convnext-tiny": (28_589_128, 4_455_531_264, None),  # torchvision, _ops 4.456
    "efficientnet-b6": (43_040_704, 19_067_593_536, None),  # torchvision, _ops 19.068
    "efficientnet-b7": (66_347_960, 37_745_884_192, None),  # torchvision, _ops 37.746
    "efficientnet-lite0": (4_652_008, 385_187_552, None),  # timm, tf_efficientnet_lite0
    "ghostnet": (5_182_508, 141_150_512, None),  # timm, ghostnet_100; the paper: 5.2M, 141M
    "ghostnet-v2": (6_156_908, 167_048_288, None),  # timm, ghostnetv2_100; the paper: 6.1M, 167M
    "mobilenet-v2": (3_504_872, 300_774_272, 6_679_112),  # torchvision
    "mobilenet-v3-large": (5_483_032, 216_589_760, None),  # torchvision, _ops 0.217; the paper: 5.4M, 219M
    "mobilenet-v3-small": (2_542_856, 56_510_400, None),  # torchvision, _ops 0.057; the paper: 2.5M, 56M
    "resnet18": (11_689_512, 1_814_073_344, 2_484_712),  # torchvision
    "resnet34": (21_797_672, 3_663_761_408, 3_739_112),  # torchvision
    "resnet50-d": (25_576_264, 4_328_824_832, None),  # timm, resnet50d
    "shufflenet-v2": (2_278_604, 144_907_992, None),  # torchvision, _ops 0.145
    "vgg16": (138_357_544, 15_470_264_320, 13_556_712),  # torchvision
    "vgg19": (143_667_240, 19_632_062_464, 14_861_288),  # torchvision
}

# Howard et al., 2017, table 8: 4.2 million and 569 million, here to the last digit; and the generator of PyTorch's
# DCGAN example, whose parameters its tutorial gives.
PAPERS = {"mobilenet-v1": (4_231_976, 568_740_352), "dcgan-generator": (3_576_704, 104_628_224)}

NAMES = zoo.names()


def test_every_network_of_the_zoo_is_pinned():
    assert NAMES == tuple(sorted([*PYCLS, *MODULES, *PAPERS, "deconvnet"]))


@pytest.mark.parametrize("name", PYCLS)
def test_a_network_has_the_figures_that_pycls_publishes(name):
    table = cost(lower(zoo.load(name)))
    totals = table.totals()
    pooled = sum(math.prod(layer.output) for layer in table.layers if layer.op == "MaxPool2d")
    assert (totals["params"], totals["macs"] + table.terms.bias, totals["activations"] + pooled) == PYCLS[name]


@pytest.mark.parametrize("name", [*MODULES, *PAPERS])
def test_a_network_has_the_figures_of_its_module_or_paper(name):
    params, macs, *activations = {**MODULES, **PAPERS}[name]
    totals = cost(lower(zoo.load(name))).totals()
    assert (totals["params"], totals["macs"]) == (params, macs)
    assert activations in ([], [None], [totals["activations"]])


@pytest.mark.slow
def test_the_deconvolution_network_costs_what_its_layers_cost_in_torch():
    """VGG16 with batch norm down to one pixel, and up again, layer by layer."""

    def layers(*widths, transposed=0):
        for given, made in pairwise(widths):
            if transposed:
                yield nn.ConvTranspose2d(given, made, 4, 2, 1, bias=False)
            else:
                yield nn.Conv2d(given, made, 3, padding=1, bias=False)
            yield nn.BatchNorm2d(made)
            transposed = 0

    half, pixel = nn.MaxPool2d(2), 1024
    with torch.device("meta"):
        network = nn.Sequential(
            *layers(3, 64, 64), half, *layers(64, 128, 128), half, *layers(128, 256, 256, 256), half,
            *layers(256, 512, 512, 512), half, *layers(512, 512, 512, 512), half, *layers(512, 512),
            nn.Conv2d(512, pixel, 7, bias=False), nn.BatchNorm2d(pixel),
            nn.Conv2d(pixel, pixel, 1, bias=False), nn.BatchNorm2d(pixel),
            nn.ConvTranspose2d(pixel, 512, 7, bias=False), nn.BatchNorm2d(512),
            *layers(512, 512, 512, 512, 512, transposed=1), *layers(512, 512, 512, 512, 256, transposed=1),
            *layers(256, 256, 256, 256, 128, transposed=1), *layers(128, 128, 128, 64, transposed=1),
            *layers(64, 64, 64, 64, transposed=1), nn.Conv2d(64, 21, 1),
        ).eval()  # fmt: skip
        with FlopCounterMode(display=False) as counter:
            assert network(torch.empty(1, 3, 224, 224)).shape == (1, 21, 224, 224)
    totals = cost(lower(zoo.load("deconvnet"))).totals()
    assert totals["params"] == sum(parameter.numel() for parameter in network.parameters())
    assert 2 * totals["macs"] == counter.get_total_flops()


@pytest.mark.parametrize("name", REGNETS)
def test_a_regnet_file_is_what_the_generator_makes(name):
    assert zoo.load(name) == regnet(name, REGNETS[name])


# Widths and depths of the stages as torchvision and pycls list them.
@pytest.mark.parametrize(
    ("network", "widths", "depths", "groups"),
    [
        (RegNet(25, 88, 26.31, 2.25, 48), [96, 192, 432, 1008], [2, 6, 15, 2], [2, 4, 9, 21]),  # X-3.2GF
        (RegNet(23, 320, 69.86, 2.0, 168), [336, 672, 1344, 2520], [2, 7, 13, 1], [2, 4, 8, 15]),  # X-32GF
        (RegNet(18, 200, 106.23, 2.48, 112, 0.25), [224, 448, 1232, 3024], [2, 4, 11, 1], [2, 4, 11, 27]),  # Y-16GF
    ],
)
def test_the_generator_rounds_as_the_paper_does(network, widths, depths, groups):
    stages = regnet("net", network).stage
    assert [stage.width for stage in stages] == widths
    assert [stage.depth for stage in stages] == depths
    assert [stage.options["groups"] for stage in stages] == groups


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (RegNet(16, 50, 27.89, 2.09, 8), r"w_0 of a RegNet must be a multiple of 8 above zero \(received 50\)"),
        (RegNet(16, 48, 27.89, 1.0, 8), r"w_m of a RegNet must be above one \(received 1.0\)"),
        (RegNet(16, 48, -1.0, 2.0, 8), "w_a of a RegNet must not be below zero"),
        (RegNet(0, 48, 27.89, 2.09, 8), "depth of a RegNet must be at least 1"),
        (RegNet(16, 48, 27.89, 2.09, 0), "group_width of a RegNet must be at least 1"),
    ],
)
def test_numbers_that_describe_no_regnet_are_refused(network, message):
    with pytest.raises(DesignError, match=message):
        regnet("net", network)


# Tan and Le, 2019, and the code of its authors: width, depth, resolution.
@pytest.mark.parametrize(
    ("name", "width", "depth", "side"),
    [("b1", 1.0, 1.1, 240), ("b2", 1.1, 1.2, 260), ("b3", 1.2, 1.4, 300), ("b4", 1.4, 1.8, 380), ("b5", 1.6, 2.2, 456),
     ("b6", 1.8, 2.6, 528), ("b7", 2.0, 3.1, 600)],
)  # fmt: skip
def test_an_efficientnet_file_is_b0_scaled(name, width, depth, side):
    file = zoo.load(f"efficientnet-{name}")
    scaled = scale(zoo.load("efficientnet-b0"), Factors(depth, width, side / 224))
    assert (scaled.input, scaled.stem, scaled.stage) == (file.input, file.stem, file.stage)
    assert scaled.head.options | {"dropout": file.head.options["dropout"]} == file.head.options


@pytest.mark.parametrize("name", NAMES)
def test_a_design_file_survives_a_round_trip(name):
    design = zoo.load(name)
    assert parse_design(write_design(design)) == design


def test_spelling_is_forgiven_and_the_nearest_name_is_offered():
    assert zoo.load("ResNet-50") == zoo.load("resnet50")
    assert zoo.load("RegNet_Y_1_6GF") == zoo.load("regnety-1.6gf")
    with pytest.raises(ModelError, match="did you mean zoo:resnet50"):
        zoo.load("resnet5O0")
