"""The network's size and shapes, and its loss."""

import math

import pytest
import torch

from anomalyagent.training.evaluation.localize import FAST, PAPER, Preset
from anomalyagent.training.evaluation.network import Segmenter, focal_loss


@pytest.mark.parametrize(("base", "depth", "size"), [(2, 1, 8), (4, 3, 24), (2, 5, 64)])
def test_logits_have_the_size_of_the_image_and_two_channels(base: int, depth: int, size: int) -> None:
    assert Segmenter(base, depth)(torch.rand(2, 3, size, size)).shape == (2, 2, size, size)


def test_the_paper_preset_is_the_published_size_and_the_fast_one_far_smaller() -> None:
    with torch.device("meta"):
        paper, fast = (sum(p.numel() for p in Segmenter(x.base, x.depth).parameters()) for x in (PAPER, FAST))
    assert paper == 28_372_418
    assert fast < paper / 50


@pytest.mark.parametrize("preset", [FAST, PAPER])
def test_images_of_a_preset_can_be_halved_as_often_as_its_network_does(preset: Preset) -> None:
    assert preset.size_px % 2**preset.depth == 0


def test_focal_loss_is_the_one_worked_out_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]]).T.reshape(1, 2, 1, 2)
    # an undecided pixel (p = 1/2), and one that is right with p = 3/4
    undecided, right = 0.25 * math.log(2), 0.0625 * math.log(4 / 3)
    loss = focal_loss(logits, torch.tensor([[[0, 1]]]))
    assert float(loss) == pytest.approx((undecided + right) / 2)
    # without the focus it is the cross entropy
    assert float(focal_loss(logits, torch.tensor([[[0, 1]]]), gamma=0.0)) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_an_untrained_network_takes_anomalies_for_rare() -> None:
    torch.manual_seed(0)
    probability = torch.softmax(Segmenter(4, 2)(torch.rand(2, 3, 16, 16)), dim=1)[:, 1]
    assert float(probability.detach().mean()) < 0.1
