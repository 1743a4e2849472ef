"""Head, neck, thread and tip of a screw are found however it lies, and what the words place there is drawn there."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.on_fastener import named_place
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.parts.fastener import Place, find_fastener

SIDE, LENGTH = 256, 200.0
TRUE: dict[Place, tuple[float, float]] = {"head": (0.0, 0.1), "neck": (0.1, 0.4), "thread": (0.4, 0.93), "tip": (0.93, 1.0)}


def along_screw(angle_rad: float) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) each: share of the length from the head's end, and pixels beside the axis, of a screw in the middle."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - SIDE / 2
    along = (x * np.cos(angle_rad) + y * np.sin(angle_rad)) / LENGTH + 0.5
    return along, y * np.cos(angle_rad) - x * np.sin(angle_rad)


def screw(angle_rad: float) -> Scene:
    """A steel screw on a pale ground: cone, smooth neck, ridges, point."""
    along, across = along_screw(angle_rad)
    half = np.where(along < 0.1, 9.0 + 11.0 * (0.1 - along) / 0.1, 9.0)
    ridge = np.abs((along * LENGTH / 8.0) % 1.0 - 0.5)
    half = np.where(along > 0.4, 7.0 + 6.0 * ridge, half) * np.clip((1.0 - along) / 0.08, 0.0, 1.0) ** 0.7
    solid = (np.abs(across) < half) & (along > 0.0) & (along < 1.0)
    light = 75.0 + 55.0 * np.cos(across / np.maximum(half, 1.0) * 1.4)
    light = np.where(along > 0.4, light * (0.6 + 0.8 * ridge), light)
    photo = cv2.GaussianBlur(np.where(solid, light, 205.0), (0, 0), 0.8)
    photo = photo + np.random.default_rng(3).normal(0, 1.5, photo.shape)
    return Scene(photo_from_array(np.repeat(photo[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize("angle_deg", [0, 35, 90, 160, 270])
def test_the_places_of_a_screw_are_found_however_it_lies(angle_deg: int) -> None:
    found = find_fastener(screw(np.deg2rad(angle_deg)))
    assert found is not None
    assert abs((np.rad2deg(found.angle_rad) - angle_deg + 180.0) % 360.0 - 180.0) < 2.0
    for place, span in TRUE.items():
        assert found.spans[place] == pytest.approx(span, abs=0.04)


def test_what_is_round_or_has_no_head_is_no_fastener() -> None:
    y, x = np.mgrid[:128, :128]
    bar = (np.abs(y - 64) < 9) & (np.abs(x - 64) < 55)
    for solid in (np.hypot(x - 64, y - 64) < 40, bar, np.zeros_like(bar)):
        photo = np.where(solid[..., None], 60, 215) * np.ones(3)
        assert find_fastener(Scene(photo_from_array(photo.astype(np.uint8)))) is None


def test_places_are_read_from_the_words_of_fasteners_only() -> None:
    assert named_place('A scrape ("scratch_head") on the screw') == "head"
    assert named_place("dent on the thread of a bolt") == "thread"
    assert named_place("scuff below the head of the bolt") == "neck"
    assert named_place("manipulated_front of the screw") == "tip"
    assert named_place("a scratch on the screw") is None
    assert named_place("a scratch from head to tip of the screw") is None
    assert named_place("bent bristles on the head of a toothbrush") is None


@pytest.mark.parametrize(
    ("prompt", "place", "mechanism"),
    [
        ("scratch_head of the screw", "head", "scratch"),
        ("scratch_neck of the screw", "neck", "scratch"),
        ("thread_side of the screw", "thread", "abrasion"),
        ("thread_top of the screw", "thread", "dent"),
        ("manipulated_front of the screw", "tip", "bend"),
        ("tip of the screw is missing", "tip", "missing"),
    ],
)
def test_a_named_place_is_where_the_defect_is(prompt: str, place: Place, mechanism: Mechanism) -> None:
    angle = 0.6
    scene = screw(angle)
    along, _ = along_screw(angle)
    for seed in range(4):
        spec = DefectSpec(mechanism=mechanism, area_fraction=0.012, severity=12.0, elongation=3.0, seed=seed)
        made = render_defect(scene, spec, named_renderer(scene, spec, prompt))
        first, last = TRUE[place]
        assert first - 0.06 < float(np.median(along[made.mask])) < last + 0.06


def test_a_missing_tip_leaves_the_ground_there_and_a_blunt_end() -> None:
    scene = screw(0.0)
    spec = DefectSpec(mechanism="missing", area_fraction=0.05, severity=20.0, seed=1)
    made = render_defect(scene, spec, named_renderer(scene, spec, "missing tip of the screw"))
    along, across = along_screw(0.0)
    point = (along > 0.96) & (along < 1.0) & (np.abs(across) < 4.0)
    assert scene.photo.rgb[point].mean() < 0.7
    assert made.photo.rgb[point].mean() == pytest.approx(205.0 / 255.0, abs=0.03)
    assert not made.mask[along < 0.8].any()
