"""Scratches: thin, bare, bundled."""

import cv2
import numpy as np
from helpers.photos import make_photo
from helpers.sites import plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import scratch as scratches


def scratch(native: np.ndarray, **fields: object) -> tuple[np.ndarray, np.ndarray, Scene]:
    scene = Scene(photo_from_array(native))
    spec = DefectSpec.model_validate(
        {"mechanism": "scratch", "elongation": 30, "area_fraction": 0.008, "severity": 10, **fields}
    )
    made = render_defect(scene, spec)
    return made.photo.rgb - scene.photo.rgb, made.mask, scene


def test_scratches_in_dark_material_are_light() -> None:
    dark = (make_photo("surface", 0, 128) * 0.3).astype(np.uint8)
    lighter = [change[mask].mean() > 0 for change, mask, _ in (scratch(dark, seed=seed) for seed in range(8))]
    assert np.mean(lighter) > 0.8


def test_scratches_in_coloured_plastic_are_washed_out() -> None:
    red = np.tile(np.array([150, 40, 30], np.uint8), (128, 128, 1))
    red = np.clip(red + np.random.default_rng(0).normal(0, 2, red.shape), 0, 255).astype(np.uint8)
    changes = [change[mask].mean(0) for change, mask, _ in (scratch(red, seed=seed) for seed in range(6))]
    lighter = [change for change in changes if change.mean() > 0]
    assert lighter
    assert all(change[1] + change[2] > 2 * change[0] for change in lighter)


def test_a_longer_elongation_makes_a_longer_scratch() -> None:
    def length(elongation: float) -> float:
        _, mask, _ = scratch(make_photo("surface", 1, 192), elongation=elongation, seed=2, area_fraction=0.006)
        rows, columns = np.nonzero(mask)
        return float(np.hypot(np.ptp(rows), np.ptp(columns)))

    assert length(60.0) > 1.3 * length(12.0)


def test_a_colour_shift_decides_between_light_and_dark() -> None:
    native = make_photo("surface", 0, 128)
    for seed in range(3):
        dark, mask, _ = scratch(native, color_shift=(-25, 0, 0), seed=seed)
        assert dark[mask].mean() < 0
        light, mask, _ = scratch(native, color_shift=(25, 0, 0), seed=seed)
        assert light[mask].mean() > 0


def test_a_wide_scratch_is_a_scrape_of_many_grooves_and_no_bright_blade() -> None:
    widths: list[float] = []
    for seed in range(12):
        site = site_on(plain_sheet(256), (128, 128), 2500, reach=2.4)  # along the rows, 18 px wide
        spec = DefectSpec(mechanism="scratch", elongation=8, severity=12, color_shift=(25, 0, 0))
        edit = scratches.render(site, spec, np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        bare = np.abs(edit.log_reflectance).max(axis=2)
        groove = bare > 0.4 * np.percentile(bare[bare > 0], 99)
        grooves = (np.diff(groove.astype(int), axis=0) == 1).sum(axis=0)
        crossed = grooves > 0
        widths.append(float(np.median(groove.sum(axis=0)[crossed] / grooves[crossed])))
    assert np.median(widths) < 3.2
    assert max(widths) < 6.0


def test_a_guide_scores_rolled_metal_dead_straight() -> None:
    """Along the grain a scratch is made by what the strip runs over, not by a hand."""
    for seed in range(8):
        _, mask, scene = scratch(plain_sheet(192, grain=8.0), elongation=60, orientation_deg=90.0, center=(0.5, 0.5), seed=seed)
        assert scene.grain[1] > 0.3
        rows, columns = np.nonzero(mask)
        middle = np.polyval(np.polyfit(rows, columns, 1), rows)
        assert np.percentile(np.abs(columns - middle), 95) < 7.0


def test_no_groove_of_a_scrape_is_as_wide_as_a_pit() -> None:
    for seed in (7, 13, 35, 39):  # of the first forty those with a pit
        change, _, _ = scratch(plain_sheet(200), elongation=7, area_fraction=0.25, severity=15, orientation_deg=0.0, seed=seed)
        strong = (np.abs(change).max(2) > 0.2).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(strong)
        for _, _, width, height, area in stats[1:]:
            assert area < 60 or height < 0.5 * width, (seed, width, height)
