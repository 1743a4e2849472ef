"""The image_gen backend around the engine."""

import cv2
import numpy as np
from helpers.photos import make_photo

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array

PHOTO = photo_from_array(make_photo("part", 0, 128))


def test_a_spec_is_drawn_with_the_seed_of_the_call() -> None:
    spec = DefectSpec(mechanism="scratch", elongation=25, area_fraction=0.02, seed=1)
    edited = ProceduralImageGen().edit(PHOTO, "ignored: a large dent", spec, 7)
    assert edited.spec is not None
    assert edited.spec.mechanism == "scratch"
    assert edited.spec.seed == 7
    assert np.array_equal(edited.photo.native[~edited.changed], PHOTO.native[~edited.changed])
    assert edited.cost_usd == 0.0


def test_without_a_spec_the_prompt_is_read() -> None:
    edited = ProceduralImageGen().edit(PHOTO, "Add a dark crack across the metal surface.", None, 3)
    assert edited.spec is not None
    assert edited.spec.mechanism == "crack"
    assert edited.changed.any()


def test_an_area_that_could_not_be_met_is_told() -> None:
    spec = DefectSpec(mechanism="hole", area_fraction=1e-5, severity=12)
    edited = ProceduralImageGen().edit(PHOTO, "", spec, 0)
    assert any("visible area" in note for note in edited.notes)


def test_orange_peel_is_a_pebbled_region_and_neither_scratches_nor_a_few_dents() -> None:
    y, x = np.mgrid[:192, :192]
    photo = photo_from_array(
        np.clip(110 + 0.2 * x + np.random.default_rng(0).normal(0, 1, (192, 192)), 0, 255).astype(np.uint8)
    )
    spec = DefectSpec(mechanism="abrasion", area_fraction=0.15, elongation=1.5, severity=6.0, center=(0.5, 0.5))
    for seed in range(4):
        made = ProceduralImageGen().edit(photo, 'A rough patch ("orange_peel") on the sheet metal.', spec, seed)
        change = (made.photo.rgb - photo.rgb).mean(2)
        inside = np.hypot(x - 95.5, y - 95.5) < 25
        signs = np.sign(cv2.GaussianBlur(change, (0, 0), 1.0))
        turns = [
            float((np.diff(signs, axis=0) != 0)[inside[:191]].mean()),
            float((np.diff(signs, axis=1) != 0)[inside[:, :191]].mean()),
        ]
        assert min(turns) > 0.06
        assert max(turns) < 2.2 * min(turns)  # as bumpy one way as the other
        assert 0.3 < float((change[inside] > 0).mean()) < 0.7


def test_a_grey_stroke_is_wiped_on_with_streaks_along_it() -> None:
    photo = photo_from_array(np.full((192, 192), 170, np.uint8))
    spec = DefectSpec(
        mechanism="contamination", area_fraction=0.05, elongation=4.0, severity=7.0, center=(0.5, 0.5), orientation_deg=0.0
    ).model_copy(update={"color_shift": (-18.0, 0.0, 0.0)})
    ratios: list[float] = []
    for seed in range(6):
        made = ProceduralImageGen().edit(photo, 'A smear ("gray_stroke") on the tile.', spec, seed)
        change = (made.photo.rgb - photo.rgb).mean(2)
        assert change[made.changed].mean() < 0.0
        ratios.append(float(np.abs(np.diff(change, axis=0)).sum() / np.abs(np.diff(change, axis=1)).sum()))
    assert np.median(ratios) > 3.0, ratios
