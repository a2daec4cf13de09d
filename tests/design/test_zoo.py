"""Every zoo network against its published parameters, multiply-adds and activations, to the last digit."""

import pytest

from convsmith.analysis import cost
from convsmith.design import lower, parse_design, write_design, zoo
from convsmith.errors import ModelError

# Sources: torchvision 0.29 (num_params), pycls dev/model_complexity.json less its bias terms, and the papers.
PUBLISHED = {
    "efficientnet-b0": (5_288_548, 385_814_752, 6_748_036),
    "mobilenet-v1": (4_231_976, 568_740_352, None),
    "mobilenet-v2": (3_504_872, 300_774_272, 6_679_112),
    "resnet101": (44_549_160, 7_801_406_440 - 1000, 16_433_640 - 200_704),
    "resnet152": (60_192_808, 11_513_627_624 - 1000, 22_755_816 - 200_704),
    "resnet18": (11_689_512, 1_814_073_344, 2_484_712),
    "resnet34": (21_797_672, 3_663_761_408, 3_739_112),
    "resnet50": (25_557_032, 4_089_184_256, 11_114_984),
    "vgg16": (138_357_544, 15_470_264_320, 13_556_712),
    "vgg19": (143_667_240, 19_632_062_464, 14_861_288),
}


def test_every_network_of_the_zoo_is_pinned():
    assert zoo.names() == tuple(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_has_its_published_figures(name):
    params, macs, activations = PUBLISHED[name]
    totals = cost(lower(zoo.load(name))).totals()
    assert (totals["params"], totals["macs"]) == (params, macs)
    if activations is not None:
        assert totals["activations"] == activations


def test_efficientnet_b0_with_the_biases_that_pycls_counts():
    terms = cost(lower(zoo.load("efficientnet-b0"))).terms
    assert terms.macs + terms.bias == 385_825_092


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_design_file_survives_a_round_trip(name):
    design = zoo.load(name)
    assert parse_design(write_design(design)) == design


def test_spelling_is_forgiven_and_the_nearest_name_is_offered():
    assert zoo.load("ResNet-50") == zoo.load("resnet50")
    with pytest.raises(ModelError, match="did you mean zoo:resnet50"):
        zoo.load("resnet5O0")
