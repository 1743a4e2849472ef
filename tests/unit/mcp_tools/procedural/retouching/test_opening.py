"""Where a piece broke out of an outline, what lies behind is seen in its place and nowhere else."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.named_body import named_body
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms.chip import Breaking

BODY = Breaking(named_body("plastic housing"))
SPEC = DefectSpec(mechanism="chip", zone="edge", area_fraction=0.012, elongation=1.4, severity=30.0)


def plate(shade: float = 0.0) -> NDArray[np.uint8]:
    """A dark plate, rows 60 to 179 and columns 40 to 199, on a pale bench, and its shadow right of it."""
    photo = np.full((240, 240, 3), 175.0)
    photo[60:180, 200:214] *= 1.0 - shade
    photo[60:180, 40:200] = 62.0
    blurred = cv2.GaussianBlur(photo, (0, 0), 0.8) + np.random.default_rng(0).normal(0.0, 1.5, (240, 240, 1))
    return np.clip(blurred, 0, 255).astype(np.uint8)


def box(y0: int, y1: int, x0: int, x1: int) -> NDArray[np.bool_]:
    """(240, 240) bool: a foreground."""
    mask = np.zeros((240, 240), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_beside_a_notch_the_edge_that_the_foreground_missed_stays() -> None:
    """A strip of the edge on both sides of the notch went with it and left a step."""
    scene = Scene(photo_from_array(plate())).narrowed(box(64, 180, 40, 200))
    seen = 0
    for seed in range(10):
        made = render_defect(scene, SPEC.model_copy(update={"seed": seed, "center": (0.5, 0.02)}), BODY)
        bench = made.photo.rgb[..., 1] > 0.55
        below, edge = np.flatnonzero(bench[66, 40:200]), np.flatnonzero(bench[62, 40:200])
        if below.size > 4:
            seen += 1
            assert np.ptp(edge) <= 1.25 * np.ptp(below) + 6
    assert seen > 2


def test_no_broken_face_is_drawn_on_the_shade_beside_a_part() -> None:
    scene = Scene(photo_from_array(plate(0.3))).narrowed(box(60, 180, 40, 206))
    for seed in range(8):
        made = render_defect(scene, SPEC.model_copy(update={"seed": seed, "center": (0.99, 0.5), "severity": 12.0}), BODY)
        darker = (scene.photo.rgb - made.photo.rgb)[60:180, 203:206, 1]
        assert np.percentile(darker, 99.5) < 0.1


def test_the_dark_side_of_a_pale_body_is_broken_with_it() -> None:
    native = np.full((240, 240), 30.0)
    native[60:180, 40:200] = 205.0
    native[174:180, 40:200] = 105.0
    native = cv2.GaussianBlur(native, (0, 0), 0.8) + np.random.default_rng(0).normal(0.0, 1.5, (240, 240))
    scene = Scene(photo_from_array(np.repeat(np.clip(native, 0, 255).astype(np.uint8)[..., None], 3, axis=2)))
    scene = scene.narrowed(box(60, 180, 40, 200))
    for seed in range(6):
        fields = {"seed": seed, "center": (0.5, 0.99), "severity": 9.0}
        made = render_defect(scene, SPEC.model_copy(update=fields), Breaking(named_body("chipped plastic tile")))
        above = made.mask[160:173].any(axis=0)
        assert above.any()
        assert made.mask[174:180][:, above].mean() > 0.8
