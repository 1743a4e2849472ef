"""Print in several colours is found by its inks; faults move it or leave the ground bare, and draw nothing strange."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.sites import draw, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.mechanisms.print import Faulty, named_faults
from anomalyagent.mcp_tools.procedural.retouching.picture_print import find_inks

SPEC = DefectSpec(mechanism="print", severity=9.0)
EVERYWHERE = np.ones((200, 200), np.bool_)


def label() -> np.ndarray:
    """White, a blue band with white letters, black bars, a red disc; (200, 200, 3) uint8."""
    photo = np.full((200, 200, 3), 244, np.uint8)
    cv2.rectangle(photo, (0, 20), (200, 80), (25, 50, 160), -1)
    cv2.putText(photo, "FRESH", (30, 64), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (244, 244, 244), 4)
    for left in range(16, 100, 12):
        cv2.rectangle(photo, (left, 110), (left + 5, 170), (25, 25, 25), -1)
    cv2.circle(photo, (150, 140), 32, (200, 30, 35), -1)
    noise = np.random.default_rng(0).normal(0.0, 1.2, photo.shape)
    return np.clip(cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)


def printed_site(center: tuple[int, int] = (150, 140)) -> Site:
    scene = Scene(photo_from_array(label()))
    vars(scene)["foreground"] = EVERYWHERE
    return replace(site_on(label(), center, 900), scene=scene)


def test_the_inks_of_a_label_are_told_from_its_ground() -> None:
    inks = find_inks(lab_from_rgb(label().astype(np.float32) / 255.0), EVERYWHERE)
    assert inks is not None
    assert inks.ground[0] > 90.0
    assert len(inks.inks) == 3


def test_shading_and_grain_are_no_inks() -> None:
    y, x = np.mgrid[:200, :200].astype(np.float32)
    shaded = np.stack([90 + 0.7 * x, 70 + 0.6 * x, 60 + 0.4 * y], axis=-1)
    assert find_inks(lab_from_rgb((shaded / 255.0).astype(np.float32)), EVERYWHERE) is None


@pytest.mark.parametrize("center", [(150, 140), (60, 140), (100, 28)])
def test_missing_print_shows_the_ground_of_the_label(center: tuple[int, int]) -> None:
    site = printed_site(center)
    for seed in range(6):
        edit = Faulty(("gap",)).render(site, SPEC, np.random.default_rng(seed))
        assert edit is not None
        after, before = draw(site, edit), site.scene.photo.rgb
        changed = np.abs(after - before).max(axis=2) > 0.1
        assert changed.sum() > 30
        assert (after - before)[changed].mean() > 0.05  # ink is gone, none has come
        gone = after[np.abs(after - before).max(axis=2) > 0.5]
        assert np.abs(np.median(gone, axis=0) - 244 / 255).max() < 0.06


def test_an_ink_out_of_register_takes_no_other_with_it() -> None:
    site = printed_site()
    for seed in range(6):
        edit = Faulty(("shift",)).render(site, SPEC, np.random.default_rng(seed))
        assert edit is not None
        after, before = draw(site, edit), site.scene.photo.rgb
        bare = np.abs(after - 244 / 255).max(axis=2) < 0.06
        assert (bare & (before[..., 1] < 0.3)).sum() > 15  # where the red was
        assert np.abs(after[112:168, 18:96] - before[112:168, 18:96]).max() < 0.02  # the bars stay


def test_words_name_the_fault() -> None:
    assert named_faults("a missing print on the label") == ("gap",)
    assert named_faults("misregistration of the label") == ("shift",)
    assert named_faults("smeared print") == ("smear",)
    assert named_faults("a misprint on the label") == ()
