"""Of a black part against the light only the outline shows: what is drawn and what `auto` chooses changes that."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.planning import plan_kinds
from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.normal_set import measure_set
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect

SIDE = 320
Y, X = np.mgrid[0:SIDE, 0:SIDE]


def flange(tone: float, ground: float = 235.0, *, grain: float = 1.0, seed: int = 0) -> NDArray[np.uint8]:
    """A round flange with a bore."""
    away = np.hypot(X - 160, Y - 160)
    share = cv2.GaussianBlur(((away < 110) & (away > 30)).astype(np.float32), (0, 0), 1.0)
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0.0, 1.0, (SIDE, SIDE)), (0, 0), 3.0) * 10.0 * grain
    grey = ground + (tone + texture - ground) * share + rng.normal(0.0, 1.0, (SIDE, SIDE))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("photo", "dark"),
    [
        (flange(10.0, grain=0.1), True),
        (flange(40.0), False),  # a black part in the light
        (flange(10.0, 60.0, grain=0.1), False),  # before a dark ground
        (flange(150.0), False),
    ],
)
def test_a_silhouette_is_black_and_even_before_a_bright_ground(photo: NDArray[np.uint8], dark: bool) -> None:
    assert Scene(photo_from_array(photo)).silhouette is dark


def test_auto_chooses_only_what_changes_the_outline_of_a_silhouette(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), flange(10.0, grain=0.1, seed=number))
    traits = measure_set(paths)
    assert traits is not None
    assert traits.silhouette
    cards = load_cards(())
    assert {kind.anomaly_type for kind in plan_kinds(cards, "gear", traits)} == {"missing_tooth"}
    hidden = {"scratch", "stain", "dent", "abrasion", "discoloration", "rust", "crack"}
    assert hidden.isdisjoint(kind.anomaly_type for kind in plan_kinds(cards, "brass flange coupling", traits))
    lit = traits.model_copy(update={"silhouette": False})
    assert "scratch" in {kind.anomaly_type for kind in plan_kinds(cards, "gear", lit)}


@pytest.mark.parametrize("mechanism", ["chip", "hole"])
@pytest.mark.parametrize("seed", range(3))
def test_the_light_shines_through_what_is_broken_out_of_a_silhouette(mechanism: Mechanism, seed: int) -> None:
    scene = Scene(photo_from_array(flange(10.0, grain=0.1)))
    zone = "edge" if mechanism == "chip" else "interior"
    made = render_defect(scene, DefectSpec(mechanism=mechanism, zone=zone, area_fraction=0.02, severity=12.0, seed=seed))
    core = cv2.erode((made.mask & scene.foreground).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert core.any()
    assert float(np.median(made.photo.rgb[core])) > 0.7
