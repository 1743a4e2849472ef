"""Length by width of shapes made by hand, and what speaks for another mechanism."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.judge.appearance import measure_appearance
from anomalyagent.mcp_tools.judge.expectation import expect
from anomalyagent.mcp_tools.judge.measuring import measure
from anomalyagent.mcp_tools.judge.pair import Component, Pair
from anomalyagent.mcp_tools.judge.placing import measure_placing
from anomalyagent.mcp_tools.judge.scoring import read_calibration
from anomalyagent.mcp_tools.judge.specimens import make_specimen
from anomalyagent.mcp_tools.procedural.engine import render_defect


def pair_of(mask: NDArray[np.uint8], color: tuple[int, int, int], ground: tuple[int, int, int] = (200, 200, 200)) -> Pair:
    normal = np.broadcast_to(np.array(ground, np.uint8), (*mask.shape, 3)).copy()
    rng = np.random.default_rng(0)
    normal = np.clip(normal + rng.integers(-2, 3, normal.shape), 0, 255).astype(np.uint8)
    anomaly = np.where(mask[..., None] > 0, np.array(color, np.uint8), normal)
    pair = Pair.compare(photo_from_array(normal), photo_from_array(anomaly))
    assert pair is not None
    return pair


def part_of(mask: NDArray[np.uint8]) -> Component:
    return pair_of(mask, (20, 20, 20)).components[0]


def test_what_a_sign_is_made_of_does_not_change_the_extent_of_the_sign() -> None:
    mask = np.zeros((128, 128), np.uint8)
    cv2.rectangle(mask, (44, 44), (84, 84), 1, 3)
    part = part_of(mask)
    assert part.extent < 1.2
    assert part.elongation > 10.0


@pytest.mark.parametrize("radius", [4, 8, 30])
def test_a_disc_is_as_long_as_wide(radius: int) -> None:
    mask = np.zeros((128, 128), np.uint8)
    cv2.circle(mask, (64, 64), radius, 1, -1)
    assert part_of(mask).elongation < 1.25


def test_a_ring_shaped_stain_is_as_long_as_what_it_encloses_and_a_hair_is_not() -> None:
    cards = load_cards(with_user_folder=False)
    stain = expect([card for card in cards if card.id == "mvtec/tile/oil"], "stain")
    ring, hair = np.zeros((2, 192, 192), np.uint8)
    cv2.circle(ring, (96, 96), 34, 1, 22)
    cv2.ellipse(hair, (96, 96), (60, 40), 20, 0, 250, 1, 2)
    assert measure_placing(pair_of(ring, (120, 120, 120)), stain).elongation_miss == 0.0
    assert measure_placing(pair_of(hair, (120, 120, 120)), stain).elongation_miss > 0.5


def test_that_small_specks_are_all_edge_does_not_make_them_another_kind_of_defect() -> None:
    """Black specks on a white tablet were told to look like holes and cracks."""
    native = np.full((192, 192, 3), 60, np.uint8)
    cv2.circle(native, (96, 96), 80, (238, 238, 236), -1, cv2.LINE_AA)
    scene = Scene(photo_from_array(cv2.GaussianBlur(native, (0, 0), 0.8)))
    expected = expect(choose_cards(load_cards(with_user_folder=False), "white tablet", "black speck").cards, "contamination")
    looks, excess = read_calibration().looks, list[float]()
    for seed in range(8):
        spec = DefectSpec(mechanism="contamination", area_fraction=0.0035, elongation=1.2, severity=20.0, seed=seed)
        drawn = render_defect(scene, spec.model_copy(update={"color_shift": (-40.0, 0.0, 0.0)}))
        pair = Pair.compare(scene.photo, drawn.photo)
        assert pair is not None
        excess.append(measure(pair, expected, looks).likeness.excess)
    assert np.median(excess) < 3.5


def test_several_marks_are_compared_with_the_variant_that_allows_several() -> None:
    """Two broad scratches on a metal nut, whose card allows five, were compared with its abrasion: "1 at most are expected"."""
    card = [card for card in load_cards(with_user_folder=False) if card.id == "mvtec/metal_nut/scratch"]
    assert [variant.priors.count for variant in card[0].variants] == [(1, 5), (1, 1)]
    mask = np.zeros((192, 192), np.uint8)
    for row in (50, 120):
        cv2.rectangle(mask, (40, row), (40 + 79, row + 16), 1, -1)  # less elongated than the card's scratches
    placing = measure_placing(pair_of(mask, (235, 235, 235), (120, 120, 120)), expect(card, "scratch"))
    assert placing.pieces == pytest.approx(2.0, abs=0.1)
    assert (placing.variant.mechanism, placing.surplus) == ("scratch", 0.0)


def test_holes_larger_than_any_that_the_looks_know_are_still_holes() -> None:
    """Holes of 4 % of a hazelnut, as large as its card has them, were told to look like contamination: less of them is rim."""
    scene = Scene(make_specimen("hazelnut", np.random.default_rng(0), 256))
    expected = expect(choose_cards(load_cards(with_user_folder=False), "hazelnut", "gnawed hole").cards, "hole")
    assert max(variant.priors.area_fraction[1] for variant in expected.variants) == 0.04
    nearer: list[str | None] = []
    for seed in range(8):
        spec = DefectSpec(mechanism="hole", area_fraction=0.036, elongation=1.2, severity=20.0, seed=seed)
        pair = Pair.compare(scene.photo, render_defect(scene, spec).photo)
        assert pair is not None
        nearer.append(measure(pair, expected, read_calibration().looks).likeness.nearer)
    assert nearer.count(None) >= 7, nearer


def test_a_colour_in_shadow_is_no_foreign_colour_and_paint_is() -> None:
    """Dark holes in wood were refused: their brown was less saturated than any on the photo, as shadow makes it."""
    wood = np.clip(np.random.default_rng(0).normal((196, 138, 84), 4.0, (128, 128, 3)), 0, 255).astype(np.uint8)
    spot = np.zeros((128, 128, 1), np.uint8)
    cv2.circle(spot, (64, 64), 14, 1, -1)
    linear = np.where(wood <= 10, wood / 3294.6, ((wood / 255 + 0.055) / 1.055) ** 2.4)
    shaded = np.uint8(np.round(255 * (1.055 * np.maximum(0.06 * linear, 0.0032) ** (1 / 2.4) - 0.055)))
    expected = expect([], "hole")

    def foreign(inside: NDArray[np.uint8]) -> float:
        pair = Pair.compare(photo_from_array(wood), photo_from_array(np.where(spot > 0, inside, wood)))
        assert pair is not None
        return measure_appearance(pair, expected).foreign_color

    assert foreign(np.asarray(shaded)) < 0.5
    assert foreign(np.full_like(wood, (40, 60, 140))) > 20.0
    assert foreign(np.full_like(wood, (20, 50, 20))) > 6.0
