"""Rows of teeth part or are squeezed together; what is no such structure is bent as before."""

import cv2
import numpy as np
import pytest
from helpers.rows import HALF, MIDDLE, PITCH, SIZE, zip_fastener
from helpers.sites import plain_sheet

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.procedural.looks.distortion import named_distortion, names_bristles

SPEC = DefectSpec(mechanism="bend", zone="center", area_fraction=0.03, elongation=2.0, severity=12.0)


def test_words_of_a_structure_out_of_order() -> None:
    assert named_distortion("one deformation (split_teeth) in the middle of the zipper") == "parted"
    assert named_distortion("squeezed_teeth on the zipper") == "squeezed"
    assert named_distortion("waviness of the woven rovings") == "pushed"
    assert named_distortion("a squeezed capsule") is None  # not many alike elements
    assert named_distortion("a bent pin in the row of pins") is None
    assert names_bristles('one strong bend ("defective") anywhere on the toothbrush')
    assert names_bristles("splayed bristles")
    assert not names_bristles("a bent handle of the toothbrush")
    assert not names_bristles("a bent lead of brushed steel")


@pytest.mark.parametrize("seed", range(6))
def test_between_rows_that_part_one_sees_the_cloth(seed: int) -> None:
    photo = photo_from_array(zip_fastener())
    edited = ProceduralImageGen().edit(photo, "split_teeth of the zipper", SPEC, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    assert (edited.photo.native[~edited.changed] == photo.native[~edited.changed]).all()
    rows = np.flatnonzero(edited.changed[:, MIDDLE - 2 : MIDDLE + 3].any(axis=1))
    middle = slice(int(rows.mean()) - 8, int(rows.mean()) + 9)
    assert before[middle, MIDDLE - 2 : MIDDLE + 3].mean() > 80
    assert after[middle, MIDDLE - 2 : MIDDLE + 3].mean() < 60
    # no tooth is lost: they have moved outwards
    teeth = slice(int(rows[0]), int(rows[-1]) + 1)
    assert (after[teeth] > 110).sum() > 0.6 * (before[teeth] > 110).sum()
    beyond = np.r_[MIDDLE - HALF - 8 : MIDDLE - HALF, MIDDLE + HALF : MIDDLE + HALF + 8]
    assert after[middle][:, beyond].mean() > before[middle][:, beyond].mean() + 5


@pytest.mark.parametrize("seed", range(6))
def test_squeezed_teeth_stand_closer(seed: int) -> None:
    photo = photo_from_array(zip_fastener())
    edited = ProceduralImageGen().edit(photo, "squeezed_teeth of the zipper", SPEC, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    changed = np.flatnonzero(edited.changed.any(axis=1))
    columns = np.flatnonzero(edited.changed.any(axis=0))
    assert columns.min() > MIDDLE - 2 * HALF  # on the chain
    assert columns.max() < MIDDLE + 2 * HALF
    middle = slice(int(changed.mean()) - PITCH, int(changed.mean()) + PITCH + 1)
    crossings = [
        sum(int(np.count_nonzero(np.diff(shown[middle, column] > 100))) for column in range(MIDDLE - 20, MIDDLE + 21))
        for shown in (before, after)
    ]
    assert crossings[1] > 1.08 * crossings[0]


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_pushed_aside(seed: int) -> None:
    photo = photo_from_array(zip_fastener())
    edited = ProceduralImageGen().edit(photo, "a misaligned row of teeth", SPEC, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    assert edited.changed.sum() > 100
    assert abs(float((after > 110).sum()) / float((before > 110).sum()) - 1.0) < 0.05


def test_where_there_is_no_structure_the_part_is_bent_as_before() -> None:
    photo = photo_from_array(plain_sheet(160, grain=1.0))
    spec = SPEC.model_copy(update={"center": (0.5, 0.5)})
    named, other = (ProceduralImageGen().edit(photo, words, spec, 1) for words in ("a misaligned row", "a bent sheet"))
    assert (named.photo.native == other.photo.native).all()


def test_bristles_of_a_brush_bend_and_its_head_does_not() -> None:
    photo = np.full((SIZE, SIZE), 18, np.uint8)
    cv2.ellipse(photo, (MIDDLE, MIDDLE), (95, 110), 0, 0, 360, (150,), -1, cv2.LINE_AA)
    rng = np.random.default_rng(3)
    for x in range(66, 180, 18):
        for y in range(50, 200, 16):
            photo[y : y + 11, x : x + 13] = rng.integers(90, 250, (11, 13))
    scene = photo_from_array(
        np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + rng.normal(0, 1.5, photo.shape), 0, 255).astype(np.uint8)
    )
    among: list[float] = []
    for seed in range(6):
        spec = SPEC.model_copy(update={"zone": "any"})
        edited = ProceduralImageGen().edit(scene, 'one strong bend ("defective") on the toothbrush', spec, seed)
        rows, columns = np.nonzero(edited.changed)
        among.append(float(np.mean((rows > 40) & (rows < 205) & (columns > 56) & (columns < 190))))
    assert min(among) > 0.8, among
