"""Where a part that stood out was, the backdrop goes on in its light; a bent part stays fixed at its root."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.sites import draw, site_on
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import bend, missing
from anomalyagent.mcp_tools.procedural.parts.search import find_protrusions
from anomalyagent.mcp_tools.procedural.retouching.whole_object import clear_stage

NORMALS = Path(__file__).parents[5] / "examples" / "normals"
PITCH, WIDE = 48, 16
LEFT = [30 + i * PITCH for i in range(5)]
ROOT, TIP = 90, 190


def header(leads: list[int], size: int = 280) -> NDArray[np.uint8]:
    """A black body with leads over a pale backdrop; each lead throws a soft shadow to its right."""
    light = np.full((size, size), 168.0, np.float32)
    shadow = np.zeros_like(light)
    for x in leads:
        shadow[ROOT : TIP + 12, x + WIDE : x + 2 * WIDE] = 1.0
    light -= 50.0 * cv2.GaussianBlur(shadow, (0, 0), 5.0)
    photo = np.repeat(light[..., None], 3, axis=2)
    for x in leads:
        cv2.rectangle(photo, (x, ROOT), (x + WIDE, TIP), (150, 120, 60), -1)
    cv2.rectangle(photo, (12, 20), (size - 12, ROOT), (30, 32, 34), -1)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8) + np.random.default_rng(1).normal(0, 1.0, (size, size, 1))
    return photo.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_no_trace_is_left_where_a_lead_was(seed: int) -> None:
    site = site_on(header(LEFT), (LEFT[2] + WIDE / 2, 150), 1600)
    edit = missing.render(site, DefectSpec(mechanism="missing", severity=20.0), np.random.default_rng(seed))
    assert edit is not None
    truth = header([x for x in LEFT if x != LEFT[2]]).astype(np.float32)
    made = draw(site, edit) * 255.0
    gap = slice(ROOT + 30, TIP + 20), slice(LEFT[2] - 10, LEFT[3] - 6)
    columns = (made[gap] - truth[gap]).mean(axis=(0, 2))
    assert np.abs(columns).max() < 7.0
    assert np.abs(np.diff(columns)).max() < 2.0


@pytest.mark.parametrize("seed", range(4))
def test_a_bent_lead_is_whole_where_it_leaves_the_body(seed: int) -> None:
    site = site_on(header(LEFT), (LEFT[2] + WIDE / 2, 150), 1600)
    root = find_protrusions(site)[0].root_xy
    edit = bend.render(site, DefectSpec(mechanism="bend", severity=10.0), np.random.default_rng(seed))
    assert edit is not None
    before, after = site.scene.photo.rgb * 255.0, draw(site, edit) * 255.0
    leads = [x for x in LEFT if np.abs(after - before)[ROOT + 40 : TIP, x : x + WIDE].mean() > 8.0]
    assert leads
    for x in leads:
        middle = slice(x + WIDE // 2 - 2, x + WIDE // 2 + 3)
        rows = (after - before)[round(root[1]) - 3 : round(root[1]) + 4, middle].mean(axis=(1, 2))
        assert np.abs(rows).max() < 4.0


def test_the_place_of_a_missing_object_is_empty_its_shadow_too() -> None:
    scene = Scene(photo_from_array(header(LEFT)))
    empty = np.full((280, 280), 168.0)
    for seed in range(3):
        made = render_defect(scene, DefectSpec(mechanism="missing", area_fraction=0.5, severity=20.0, seed=seed))
        left = cv2.GaussianBlur(made.photo.rgb.mean(axis=2) * 255.0, (0, 0), 1.5) - empty
        assert np.abs(left).max() < 12.0


def test_an_object_in_the_wrong_place_leaves_nothing_where_it_was() -> None:
    scene = Scene(photo_from_array(header(LEFT)))
    pins = 5 * WIDE * (TIP - ROOT)
    for seed in range(6):
        made = render_defect(scene, DefectSpec(mechanism="swap", area_fraction=0.6, severity=20.0, seed=seed))
        rgb = made.photo.rgb * 255.0
        brown = (rgb[..., 0] - rgb[..., 2] > 40.0).sum()
        black = (rgb.mean(axis=2) < 60.0).astype(np.uint8)
        assert 0.8 * pins < brown < 1.15 * pins
        here = cv2.dilate(black | (rgb[..., 0] - rgb[..., 2] > 25.0).astype(np.uint8), np.ones((45, 45), np.uint8)) > 0
        left = cv2.GaussianBlur(rgb.mean(axis=2), (0, 0), 1.5) - 168.0
        assert np.abs(left[~here]).max() < 12.0


def test_what_is_asked_for_a_quarter_of_the_object_never_takes_all_of_it() -> None:
    scene = Scene(read_photo(NORMALS / "metal_nut" / "001.jpg"))
    for seed in range(1, 4):
        spec = DefectSpec(mechanism="missing", zone="interior", area_fraction=0.27, severity=29.0, seed=seed)
        made = render_defect(scene, spec)
        assert made.mask[scene.foreground].mean() < 0.7


def test_of_three_objects_on_a_tray_one_is_missing_when_a_third_is_asked_for() -> None:
    native = np.random.default_rng(0).normal(60.0, 1.5, (200, 260, 3))
    places = [(60, 60), (190, 70), (120, 150)]
    for x, y in places:
        cv2.circle(native, (x, y), 30, (190.0, 180.0, 150.0), -1, cv2.LINE_AA)
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(native, (0, 0), 0.8), 0, 255).astype(np.uint8)))
    for seed in range(4):
        made = render_defect(scene, DefectSpec(mechanism="missing", area_fraction=0.33, severity=20.0, seed=seed))
        left = [bool(made.photo.rgb[y, x].mean() > 0.5) for x, y in places]
        assert left.count(True) == 2, (seed, left)


def test_spots_of_a_dark_backdrop_are_no_shadow_of_the_object() -> None:
    rng = np.random.default_rng(2)
    ground = 20.0 + cv2.GaussianBlur(rng.normal(0, 1, (280, 280)), (0, 0), 6.0) * 40.0
    photo = np.repeat(ground[..., None], 3, axis=2)
    cv2.ellipse(photo, (140, 140), (70, 45), 20, 0, 360, (190, 185, 180), -1)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8) + rng.normal(0, 1.0, photo.shape)
    scene = Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))
    stage = clear_stage(scene, np.random.default_rng(0))
    assert stage is not None
    assert stage.shadow == 0.0
    near = cv2.dilate(scene.foreground.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    assert not (stage.seat[~near] > 0.01).any()


def test_the_cloth_beside_a_broad_bent_arm_stays_as_it_is() -> None:
    rng = np.random.default_rng(5)
    cloth = 140.0 + 4.0 * cv2.GaussianBlur(rng.normal(0, 1, (280, 280)), (0, 0), 12.0) * 40.0 + rng.normal(0, 3.0, (280, 280))
    photo = np.repeat(cloth[..., None], 3, axis=2)
    cv2.rectangle(photo, (30, 40), (90, 250), (40, 40, 42), -1)
    cv2.rectangle(photo, (30, 190), (250, 250), (40, 40, 42), -1)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8) + rng.normal(0, 1.0, photo.shape)
    scene = Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))
    drawn = 0
    for seed in range(6):
        made = render_defect(scene, DefectSpec(mechanism="bend", zone="edge", area_fraction=0.1, severity=10.0, seed=seed))
        dark = made.photo.rgb.mean(axis=2) < 0.35
        object_then_and_now = (scene.foreground | dark).astype(np.uint8)
        near = cv2.dilate(object_then_and_now, np.ones((81, 81), np.uint8)) > 0
        assert np.count_nonzero(made.mask & ~near) < 0.01 * np.count_nonzero(made.mask)
        drawn += int(made.mask.any())
    assert drawn == 6
