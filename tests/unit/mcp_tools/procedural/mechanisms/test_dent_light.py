"""The lit flank of a dent in a matt textured surface is as light as one that looks at the lamp, and does not glow."""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.light.surface import linear_from_srgb


def basket(size: int = 160) -> Scene:
    """Straw, woven coarsely: strong texture, no gloss."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    over = (np.floor(x / 16) + np.floor(y / 16)) % 2
    strand = np.where(over == 1, np.cos(np.pi * ((x % 16) / 16 - 0.5)), np.cos(np.pi * ((y % 16) / 16 - 0.5)))
    noise = np.random.default_rng(5).normal(0.0, 1.0, (size, size)).astype(np.float32)
    shade = 0.45 + 0.5 * strand + 0.03 * cv2.GaussianBlur(noise, (0, 0), 1.0)
    return Scene(photo_from_array(np.clip(shade[..., None] * np.array([215.0, 170.0, 105.0]), 0, 255).astype(np.uint8)))


def test_a_dent_in_a_matt_weave_does_not_glow() -> None:
    scene = basket()
    for seed in range(6):
        spec = DefectSpec(mechanism="dent", area_fraction=0.03, elongation=1.5, severity=10.0, center=(0.5, 0.5), seed=seed)
        made = render_defect(scene, spec)
        before, after = (linear_from_srgb(rgb).mean(axis=2)[made.mask] for rgb in (scene.photo.rgb, made.photo.rgb))
        assert np.percentile(after / np.maximum(before, 0.02), 99) < 2.2
