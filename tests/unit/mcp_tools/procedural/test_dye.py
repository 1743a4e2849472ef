"""Dye and discoloration take light away where they are strong: they do not glow; a wrong colour is all over the object."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.judge.specimens import make_specimen
from anomalyagent.mcp_tools.procedural.engine import render_defect


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
