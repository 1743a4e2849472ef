"""Dye and discoloration take light away where they are strong: they do not glow; a wrong colour is all over the object."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.judge.specimens import make_specimen
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer


@pytest.mark.parametrize("mechanism", ["discoloration", "stain"])
def test_a_strong_tint_is_deep_and_does_not_glow(mechanism: str) -> None:
    brightest: list[float] = []
    for seed in range(8):
        scene = Scene(make_specimen("leather", np.random.default_rng(seed), 192))
        spec = DefectSpec.model_validate(
            {"mechanism": mechanism, "area_fraction": 0.02, "severity": 10, "color_shift": (2, 14, 10), "seed": seed}
        )
        made = render_defect(scene, spec)
        before, after = (np.percentile(rgb[made.mask].max(axis=1), 95) for rgb in (scene.photo.rgb, made.photo.rgb))
        brightest.append(float(after / before))
    assert np.median(brightest) < 1.25


def test_an_object_of_the_wrong_colour_has_it_all_over() -> None:
    native = np.full((192, 192, 3), (40, 60, 110), np.uint8)
    cv2.circle(native, (96, 96), 66, (205, 205, 200), -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0.0, 1.5, native.shape)
    scene = Scene(photo_from_array((native + noise).clip(0, 255).astype(np.uint8)))
    y, x = np.mgrid[:192, :192]
    pill = np.hypot(x - 96, y - 96) < 62
    for seed in range(4):
        spec = DefectSpec(mechanism="discoloration", area_fraction=0.6, severity=10, color_shift=(-4, 4, 20), seed=seed)
        made = render_defect(scene, spec)
        change = (made.photo.rgb - scene.photo.rgb)[pill].mean(axis=1)
        assert made.mask[pill].mean() > 0.97
        assert change.std() < 0.25 * abs(change.mean()) + 0.01
        assert not made.mask[np.hypot(x - 96, y - 96) > 74].any()


@pytest.mark.parametrize("lightness", [-8.0, 8.0])
def test_uneven_dye_is_more_or_less_of_the_same_dye(lightness: float) -> None:
    noise = np.random.default_rng(1).normal(0.0, 3.0, (192, 192, 1))
    scene = Scene(photo_from_array((np.array([62.0, 84.0, 136.0]) + noise).clip(0, 255).astype(np.uint8)))
    prompt = 'Add one faint change of colour ("shade_variation") anywhere on the denim.'
    for seed in range(4):
        spec = DefectSpec(
            mechanism="discoloration", area_fraction=0.08, elongation=3.0, severity=6, color_shift=(lightness, 4, 4), seed=seed
        )
        made = render_defect(scene, spec, named_renderer(scene, spec, prompt))
        before, after = (np.median(lab_from_rgb(rgb)[made.mask], axis=0) for rgb in (scene.photo.rgb, made.photo.rgb))
        assert np.sign(after[0] - before[0]) == np.sign(lightness)
        turned = np.rad2deg(np.arctan2(after[2], after[1]) - np.arctan2(before[2], before[1]))
        assert abs(turned) < 12.0
