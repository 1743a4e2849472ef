"""Words that speak of pieces stuck together lay a second piece against the first; spots do not run; food breaks dull."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.named_body import named_body
from anomalyagent.mcp_tools.procedural.looks.doubled import names_doubling
from anomalyagent.mcp_tools.procedural.mechanisms.contamination import Foreign
from anomalyagent.mcp_tools.procedural.mechanisms.stain import Spot
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

CLOTH, KERNEL = (60, 110, 70), (226, 190, 135)


def _tray(*middles: tuple[int, int]) -> NDArray[np.uint8]:
    """Bent kernels on a cloth."""
    photo = np.full((240, 320, 3), CLOTH, np.uint8)
    for middle in middles:
        cv2.ellipse(photo, middle, (34, 34), 0.0, 10.0, 170.0, KERNEL, 24)
    noise = np.random.default_rng(0).normal(0.0, 2.0, (240, 320, 1))
    return np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)


def _spec(mechanism: str, share: float) -> DefectSpec:
    return DefectSpec.model_validate({"mechanism": mechanism, "zone": "edge", "area_fraction": share, "severity": 12.0})


def _kernels(photo: Photo) -> NDArray[np.bool_]:
    away = np.abs(255.0 * photo.rgb - np.array(KERNEL)).max(axis=2)
    return cv2.blur(away, (3, 3)) < 30


@pytest.mark.parametrize("seed", range(4))
def test_a_second_kernel_lies_against_the_first(seed: int) -> None:
    photo = photo_from_array(_tray((160, 100)))
    edited = ProceduralImageGen().edit(photo, "two cashews stuck together", _spec("swap", 0.5), seed)
    before, after = _kernels(photo), _kernels(edited.photo)
    assert before.sum() * 1.15 < after.sum() < before.sum() * 1.95
    assert cv2.connectedComponents(after.astype(np.uint8))[0] - 1 <= 3  # a line of shade divides the two
    beside = edited.changed & ~cv2.dilate(before.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    assert (after & beside).sum() > 0.1 * before.sum()


def test_of_several_kernels_one_gets_a_second_and_the_others_stay() -> None:
    photo = photo_from_array(_tray((80, 50), (240, 50), (80, 160), (240, 160)))
    edited = ProceduralImageGen().edit(photo, "two cashews stuck together", _spec("swap", 0.15), 1)
    labels = cv2.connectedComponents(Scene(photo).foreground.astype(np.uint8))[1]
    touched = [one for one in range(1, 5) if edited.changed[labels == one].mean() > 0.02]
    beside = edited.changed & (labels == 0)
    assert len(touched) <= 1
    assert beside.sum() > 0.1 * (labels == 1).sum()


def test_a_surface_that_fills_the_frame_has_no_second_piece() -> None:
    surface = Scene(photo_from_array(make_photo("surface")))
    assert named_renderer(surface, _spec("swap", 0.05), "two layers stuck together") is None


def test_the_frame_may_cut_the_second_piece_where_there_is_little_room() -> None:
    photo = photo_from_array(np.ascontiguousarray(_tray((160, 100))[52:168, 100:220]))
    edited = ProceduralImageGen().edit(photo, "stuck together", _spec("swap", 0.3), 0)
    assert (_kernels(edited.photo) & edited.changed).sum() > 0.08 * _kernels(photo).sum()


@pytest.mark.parametrize(
    ("words", "doubled"),
    [
        ("fryum_stuck_together", True),
        ("two kernels stuck to each other", True),
        ("clumped", True),
        ("a second tube adheres to the first", True),
        ("kernels that adhere to one another", True),
        ("a hair stuck on the surface", False),
        ("a metal part stuck on the surface", False),
        ("a double scratch", False),
        ("stuck pixel", False),
    ],
)
def test_words_for_doubled_pieces(words: str, doubled: bool) -> None:
    assert names_doubling(words) is doubled


def test_named_matter_that_clumped_is_no_second_piece() -> None:
    scene = Scene(photo_from_array(_tray((160, 100))))
    assert isinstance(named_renderer(scene, _spec("contamination", 0.1), "clumped dust on a cashew"), Foreign)


def test_a_spot_does_not_run() -> None:
    scene = Scene(photo_from_array(_tray((160, 100))))
    spec = _spec("stain", 0.03)
    assert isinstance(named_renderer(scene, spec, "different_colour_spot on a cashew"), Spot)
    assert named_renderer(scene, spec, "a stain that has run down in drips from a spot") is None
    assert named_renderer(scene, spec, "coffee stain") is None


@pytest.mark.parametrize("words", ["chipped biscuit", "a cashew with a broken edge", "a chunk of wax missing"])
def test_food_and_wax_break_without_shells(words: str) -> None:
    assert named_body(words).coarse


def test_a_broken_kernel_is_pale_inside() -> None:
    """A dark brown break told of mould, not of a fracture."""
    photo = photo_from_array(_tray((160, 100)))
    lightness: dict[str, list[float]] = {"a cashew": [], "a tile": []}
    for words, found in lightness.items():
        for seed in range(12):
            edited = ProceduralImageGen().edit(photo, f"broken edge of {words}", _spec("chip", 0.06), seed)
            inside = edited.changed & cv2.erode(_kernels(edited.photo).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
            broken = edited.changed & (np.abs(255.0 * edited.photo.rgb - np.array(CLOTH)).max(axis=2) > 60) | inside
            found.append(float(edited.photo.rgb[broken].mean()) if broken.any() else 0.7)
    assert np.mean(lightness["a cashew"]) > np.mean(lightness["a tile"]) + 0.03
