"""Abrasion, dents and chips: changes of a patch of the surface."""

import cv2
import numpy as np
from helpers.photos import make_photo
from helpers.sites import plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import dent
from anomalyagent.mcp_tools.procedural.structure.rims import find_hollow


def draw(mechanism: Mechanism, scene: Scene, **fields: object) -> Rendered:
    given = {"mechanism": mechanism, "elongation": 1.8, "area_fraction": 0.03, "severity": 10.0, **fields}
    return render_defect(scene, DefectSpec.model_validate(given))


def bottle(size: int = 192) -> Scene:
    """A ring of structured dark glass around a smooth darker mouth, on a light ground."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    radius = np.hypot(x, y)
    photo = np.full((size, size), 235.0)
    rings = 70 + 40 * np.sin(radius * 120) + 15 * cv2.GaussianBlur(rng.normal(0, 1, (size, size)), (0, 0), 1.2)
    photo = np.where(radius < 0.44, rings, photo)
    photo = np.where(radius < 0.22, 28.0, photo) + rng.normal(0, 1.0, (size, size))
    native = np.repeat(np.clip(photo, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return Scene(photo_from_array(native))


def test_a_dent_has_a_bright_and_a_dark_flank() -> None:
    scene = Scene(photo_from_array(make_photo("surface", 0, 160)))
    for seed in range(4):
        made = draw("dent", scene, seed=seed, elongation=1.2)
        change = (made.photo.rgb - scene.photo.rgb).mean(2)[made.mask]
        assert np.percentile(change, 8) < -0.01
        assert np.percentile(change, 92) > 0.01


def test_a_dent_has_no_hard_edge() -> None:
    flat = np.full((160, 160), 140, np.uint8)
    scene = Scene(photo_from_array(flat))
    made = draw("dent", scene, area_fraction=0.06, elongation=1.2, severity=6.0)
    change = made.photo.rgb[..., 0] - scene.photo.rgb[..., 0]
    assert np.abs(np.diff(change, axis=0)).max() < 0.3 * np.ptp(change)


def test_abrasion_has_fine_structure_along_its_direction() -> None:
    scene = Scene(photo_from_array(np.full((192, 192), 110, np.uint8)))
    made = draw("abrasion", scene, area_fraction=0.06, orientation_deg=0.0)
    change = made.photo.rgb[..., 0] - scene.photo.rgb[..., 0]
    along, across = np.abs(np.diff(change, axis=1)).sum(), np.abs(np.diff(change, axis=0)).sum()
    assert across > 1.6 * along


def test_a_chip_removes_the_texture_of_the_old_surface() -> None:
    stripes = (120 + 60 * np.sign(np.sin(np.arange(192) * 0.9)))[None, :].repeat(192, 0)
    scene = Scene(photo_from_array(stripes.astype(np.uint8)))
    made = draw("chip", scene, zone="center", area_fraction=0.08, seed=2)
    inside = cv2.erode(made.mask.astype(np.uint8), np.ones((9, 9))).astype(bool)
    before = np.abs(np.diff(scene.photo.rgb[..., 0], axis=1))[inside[:, 1:]].mean()
    after = np.abs(np.diff(made.photo.rgb[..., 0], axis=1))[inside[:, 1:]].mean()
    assert after < 0.4 * before


def test_a_chip_in_the_edge_zone_reaches_the_outline() -> None:
    scene = Scene(photo_from_array(make_photo("part", 0, 160)))
    for seed in range(4):
        made = draw("chip", scene, zone="edge", seed=seed)
        assert scene.depth_px[made.mask].min() <= 2.0


def test_the_hollow_of_a_bottle_mouth_is_found_and_plain_photos_have_none() -> None:
    hollow = find_hollow(bottle())
    assert hollow is not None
    center, ring = hollow.nearness(96, 96), hollow.nearness(96, 96 - 0.25 * 192)
    assert center == 0.0
    assert ring > 0.5
    assert find_hollow(Scene(photo_from_array(make_photo("surface", 0, 160)))) is None
    plain = np.full((128, 128, 3), 240, np.uint8)
    cv2.circle(plain, (64, 64), 45, (120, 60, 40), -1)
    assert find_hollow(Scene(photo_from_array(plain))) is None


def test_chips_inside_an_object_sit_at_the_rim_of_its_hollow() -> None:
    scene = bottle()
    y, x = np.mgrid[:192, :192] / 192 - 0.5
    radius = np.hypot(x, y)
    for seed in range(4):
        made = draw("chip", scene, zone="interior", area_fraction=0.03, severity=15.0, seed=seed)
        assert abs(radius[made.mask].min() - 0.22) < 0.04
        assert radius[made.mask].max() < 0.44


def test_a_crack_near_an_outline_starts_there_and_runs_inwards() -> None:
    scene = Scene(photo_from_array(make_photo("surface", 2, 160)))
    inwards = 0
    for seed in range(10):
        spec = DefectSpec(mechanism="crack", zone="edge", area_fraction=0.01, elongation=40.0, severity=12.0, seed=seed)
        rows, columns = np.nonzero(render_defect(scene, spec).mask)
        nearest = min(rows.min(), columns.min(), 159 - rows.max(), 159 - columns.max())
        depth = np.minimum(np.minimum(rows, columns), np.minimum(159 - rows, 159 - columns))
        inwards += nearest <= 6 and depth.max() > 25
    assert inwards >= 6


def test_abrasion_is_a_dull_patch_and_no_hatching() -> None:
    scene = Scene(photo_from_array(plain_sheet(256, 120)))
    fine: list[float] = []
    for seed in range(8):
        made = draw("abrasion", scene, area_fraction=0.1, elongation=1.3, severity=10.0, color_shift=(18, 0, 0), seed=seed)
        change = (made.photo.rgb - scene.photo.rgb).mean(axis=2)
        broad = cv2.GaussianBlur(change, (0, 0), 4.0)
        inside = cv2.erode((broad > 0.5 * broad.max()).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        fine.append(float((change - broad)[inside].std() / broad[inside].mean()))
    assert np.median(fine) < 0.55, fine


def test_a_flake_off_an_edge_leaves_a_shell_with_ribs_and_a_dark_border() -> None:
    """Breaks at edges were grainy alike in all directions, and half of their borders shone."""
    rng = np.random.default_rng(3)
    scene = Scene(photo_from_array(np.clip(rng.normal(130, 2, (192, 192)), 0, 255).astype(np.uint8)))
    directed, shining = 0, []
    for seed in range(16):
        made = draw("chip", scene, zone="edge", area_fraction=0.04, elongation=3.0, color_shift=(-6.0, 0.0, 0.0), seed=seed)
        grey = cv2.GaussianBlur(made.photo.rgb[..., 1], (0, 0), 0.8)
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7))).astype(bool)
        slope_x, slope_y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        xx, yy, xy = (cv2.blur(part, (9, 9)) for part in (slope_x**2, slope_y**2, slope_x * slope_y))
        directed += float((np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9))[inside].mean()) > 0.6
        border = made.mask & ~cv2.erode(made.mask.astype(np.uint8), np.ones((5, 5)), borderValue=1).astype(bool)
        shining.append(float((made.photo.rgb[..., 1][border] > 130 / 255 + 0.02).mean()))
    assert directed >= 9
    assert np.mean(shining) < 0.05


def test_a_dent_is_shaded_along_the_light_only_and_has_no_ring() -> None:
    """Dents had a rim, bright or dark all around, like drops of water."""
    y, x = np.mgrid[:192, :192]
    sheet = 125 + 0.15 * (x + y) + np.random.default_rng(1).normal(0.0, 0.8, (192, 192))
    scene = Scene(photo_from_array(np.clip(sheet, 0, 255).astype(np.uint8)))
    towards = np.array([np.cos(scene.light[0]), np.sin(scene.light[0])])
    turn = np.cos(np.arctan2(y - 95.5, x - 95.5) - scene.light[0])
    outer = (np.hypot(x - 95.5, y - 95.5) > 8) & (np.hypot(x - 95.5, y - 95.5) < 40)
    beside: list[float] = []
    for seed in range(8):
        made = draw("dent", scene, center=(0.5, 0.5), area_fraction=0.05, elongation=1.0, severity=8.0, seed=seed)
        change = cv2.GaussianBlur((made.photo.rgb - scene.photo.rgb).mean(2), (0, 0), 1.5)
        amount = np.abs(change)
        beside.append(float(amount[outer & (np.abs(turn) < 0.3)].mean() / amount[outer & (np.abs(turn) > 0.85)].mean()))
        columns, rows = (np.outer(towards, np.arange(-60, 61)) + 95.5).astype(int)
        ray = change[rows, columns]
        seen = np.sign(ray[np.abs(ray) > 0.08 * np.abs(ray).max()])
        assert np.count_nonzero(np.diff(seen)) == 1  # dark, then bright: no ring before or behind
    assert np.median(beside) < 0.4


def test_what_a_dent_mirrors_does_not_hide_where_the_lamp_stands() -> None:
    """On glass with rings of light the bent ones outshone the flanks, and the judge saw another lamp."""
    y, x = np.mgrid[0:128, 0:128].astype(np.float64)
    rings = np.clip(70 + 60 * np.sin(np.hypot(x - 64, y - 64) / 3.0), 0, 255).astype(np.uint8)
    site = site_on(np.repeat(rings[..., None], 3, axis=2), (64, 40), 900)
    azimuth = site.scene.light[0]
    away = (64 - x) * np.cos(azimuth) + (40 - y) * np.sin(azimuth)
    for seed in range(10):
        edit = dent.render(site, DefectSpec(mechanism="dent", severity=8.0, elongation=1.3), np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        lit = edit.log_reflectance[..., 1][edit.support]
        assert np.corrcoef(away[edit.window.slices][edit.support], lit)[0, 1] > 0.2
