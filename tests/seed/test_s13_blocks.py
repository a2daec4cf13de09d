"""S13: the blocks that networks repeat, proved by the published networks that are made of them."""

import json

import pytest

from convsmith.cli.main import run
from convsmith.design import zoo

# A network that is made of each block, its parameters and multiply-adds (sources: tests/design/test_zoo.py).
MADE_OF = {
    "conv": ("vgg16", 138_357_544, 15_470_264_320),
    "residual": ("resnet34", 21_797_672, 3_663_761_408),
    "bottleneck": ("resnet50", 25_557_032, 4_089_184_256),
    "depthwise": ("mobilenet-v1", 4_231_976, 568_740_352),
    "inverted_residual": ("mobilenet-v2", 3_504_872, 300_774_272),
    "ghost": ("ghostnet", 5_182_508, 141_150_512),
    "ghost_v2": ("ghostnet-v2", 6_156_908, 167_048_288),
    "shuffle": ("shufflenet-v2", 2_278_604, 144_907_992),
    "convnext": ("convnext-tiny", 28_589_128, 4_455_531_264),
}


@pytest.mark.slow
@pytest.mark.parametrize("block", MADE_OF)
def test_a_network_made_of_the_block_costs_what_is_published(block, capsys):
    name, params, macs = MADE_OF[block]
    assert block in {stage.block for stage in zoo.load(name).stage}
    assert run(["inspect", f"zoo:{name}", "--json"]) == 0
    totals = json.loads(capsys.readouterr().out)["totals"]
    assert (totals["params"], totals["macs"]) == (params, macs)


@pytest.mark.slow
def test_squeeze_and_excitation_in_the_form_of_each_family(capsys):
    """Gates of 1/4 of the entering channels (EfficientNet), or of the inner ones, to a multiple of 8 (MobileNetV3)."""
    for name, layer, channels in (
        ("efficientnet-b0", "stage3.block1.se.reduce.conv", 24 // 4),
        ("mobilenet-v3-large", "stage4.block1.se.reduce.conv", 24),  # 72 / 4 = 18, and 16 would lose over a tenth
        ("ghostnet", "stage3.block1.se.reduce.conv", 20),  # 72 / 4 = 18 to a multiple of 4
    ):
        assert run(["inspect", f"zoo:{name}", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["layers"]
        assert next(row["output"] for row in rows if row["name"] == layer) == [1, channels, 1, 1]
