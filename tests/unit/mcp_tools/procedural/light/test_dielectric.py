"""Paint, plastic and glaze mirror the lamp in its own colour; metal colours it. What ages does so in its own hue."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.sites import site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.light.dielectric import whiteness_of_lights
from anomalyagent.mcp_tools.procedural.light.surface import linear_from_srgb, srgb_from_linear
from anomalyagent.mcp_tools.procedural.mechanisms import discoloration

RED, BLUE, BRASS = (0.30, 0.015, 0.012), (0.012, 0.02, 0.19), (0.32, 0.20, 0.06)


def body(own: tuple[float, float, float], *, metal: bool = False) -> np.ndarray:
    """A wavy panel with lights all over it, (160, 160, 3) uint8."""
    waves = cv2.GaussianBlur(np.random.default_rng(1).standard_normal((160, 160)), (0, 0), 4.0)
    lights = np.clip(1.5 * (waves / waves.std() - 1.4), 0.0, 1.0)[..., None].astype(np.float32)
    color = np.array(own, np.float32)
    light = color * (1.0 + 2.0 * lights) if metal else color + 0.45 * lights
    grain = np.random.default_rng(0).normal(0.0, 1.2, (160, 160, 1))
    return np.clip(255 * srgb_from_linear(light) + grain, 0, 255).astype(np.uint8)


def panel(own: tuple[float, float, float], *, metal: bool = False) -> Scene:
    """It fills the frame."""
    scene = Scene(photo_from_array(body(own, metal=metal)))
    vars(scene)["foreground"] = np.ones((160, 160), np.bool_)
    return scene


def test_lights_of_paint_are_the_lamps_and_those_of_metal_its_own() -> None:
    for paint in (RED, BLUE, BRASS):
        assert whiteness_of_lights(panel(paint)) > 0.9
    for own in (BRASS, (0.2, 0.2, 0.2)):
        assert whiteness_of_lights(panel(own, metal=True)) == 0.0


@pytest.mark.parametrize("own", [RED, BLUE])
def test_the_highlight_of_a_dent_in_paint_is_whiter_than_the_paint(own: tuple[float, float, float]) -> None:
    scene = panel(own)
    for seed in range(4):
        spec = DefectSpec(mechanism="dent", severity=10.0, area_fraction=0.03, center=(0.5, 0.7), seed=seed)
        drawn = render_defect(scene, spec)
        before, after = (linear_from_srgb(photo.rgb)[drawn.mask] for photo in (scene.photo, drawn.photo))
        gained = (after - before)[(after - before).sum(axis=1).argsort()[-12:]].mean(axis=0)
        assert gained.min() > 0.4 * gained.max()


@pytest.mark.parametrize("own", [RED, BLUE])
@pytest.mark.parametrize("shift", [(-4.0, 2.0, 9.0), (4.0, 2.0, 9.0), None])
def test_paint_ages_in_its_own_hue(own: tuple[float, float, float], shift: tuple[float, float, float] | None) -> None:
    site = replace(site_on(body(own), (80, 110), 1500), scene=panel(own))
    color = lab_from_rgb(srgb_from_linear(np.array(own, np.float32))[None, None])[0, 0]
    for seed in range(6):
        spec = DefectSpec(mechanism="discoloration", severity=9.0, color_shift=shift)
        edit = discoloration.Shifted().render(site, spec, np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        there = np.linalg.norm(edit.log_reflectance, axis=2)
        most = edit.log_reflectance[there >= np.percentile(there, 98)].mean(axis=0)
        aged = lab_from_rgb(srgb_from_linear(np.array(own, np.float32) * np.exp(most))[None, None])[0, 0]
        turned = np.rad2deg(np.arctan2(aged[2], aged[1]) - np.arctan2(color[2], color[1]))
        assert abs((turned + 180.0) % 360.0 - 180.0) < 14.0
        assert np.hypot(*aged[1:]) < np.hypot(*color[1:]) + 1.0
