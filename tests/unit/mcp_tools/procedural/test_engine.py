"""Every mechanism, drawn by the engine, keeps the promises of a DefectSpec."""

from functools import cache

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.errors import BackendError
from anomalyagent.knowledge.spec import MECHANISMS, DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.change import mask_of_change, visible_change
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect

LONG: dict[Mechanism, float] = {"scratch": 25.0, "crack": 30.0, "cut": 12.0, "fibre": 30.0}
SURFACE_MECHANISMS: tuple[Mechanism, ...] = ("scratch", "crack", "cut", "abrasion", "dent", "hole", "chip")


@cache
def scene(kind: str = "part", mode: str = "RGB", size: int = 128, seed: int = 0) -> Scene:
    native = make_photo("part" if kind == "part" else "surface", seed, size)
    if mode == "L":
        return Scene(photo_from_array(cv2.cvtColor(native, cv2.COLOR_RGB2GRAY)))
    if mode == "I;16":
        return Scene(photo_from_array(cv2.cvtColor(native, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 210 + 400))
    return Scene(photo_from_array(native))


def spec_of(mechanism: Mechanism, **fields: object) -> DefectSpec:
    given = {"area_fraction": 0.02, "elongation": LONG.get(mechanism, 1.6), "severity": 8.0, "seed": 3, **fields}
    return DefectSpec.model_validate({"mechanism": mechanism, **given})


def strength(made: Rendered, before: Scene) -> float:
    """Change that the strongest fifth of the mask reaches, in JND."""
    return float(np.percentile(visible_change(before.photo, made.photo)[made.mask], 80))


@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_drawn_defect_is_visible_and_everything_else_is_identical(mechanism: Mechanism, mode: str, size: int) -> None:
    before = scene("part", mode, size)
    made = render_defect(before, spec_of(mechanism))
    assert made.mask.any()
    assert made.photo.mode == before.photo.mode
    assert made.photo.native.dtype == before.photo.native.dtype
    assert np.array_equal(made.photo.native[~made.mask], before.photo.native[~made.mask])
    assert np.array_equal(made.mask, mask_of_change(before.photo, made.photo))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_same_spec_and_photo_give_the_same_pixels_and_another_seed_others(mechanism: Mechanism) -> None:
    first, again = (render_defect(scene(), spec_of(mechanism, seed=5)) for _ in range(2))
    other = render_defect(scene(), spec_of(mechanism, seed=6))
    assert np.array_equal(first.photo.native, again.photo.native)
    assert first.spec == again.spec
    assert not np.array_equal(first.photo.native, other.photo.native)


@pytest.mark.parametrize("kind", ["part", "surface"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_visible_area_is_about_what_was_asked_for(mechanism: Mechanism, kind: str) -> None:
    ratios: list[float] = []
    for seed in range(4):
        for wanted in (0.01, 0.04):
            made = render_defect(scene(kind, size=192), spec_of(mechanism, area_fraction=wanted, seed=seed))
            ratios.append(made.spec.area_fraction / wanted)
            assert made.spec.area_fraction == pytest.approx(made.mask.sum() / scene(kind, size=192).object_area_px)
    assert 0.6 < np.median(ratios) < 1.7
    assert np.mean([(ratio < 0.5) or (ratio > 2.0) for ratio in ratios]) <= 0.25


@pytest.mark.parametrize("mechanism", SURFACE_MECHANISMS)
def test_a_higher_severity_is_a_stronger_change(mechanism: Mechanism) -> None:
    means = [
        np.mean(
            [strength(render_defect(scene(), spec_of(mechanism, severity=severity, seed=seed)), scene()) for seed in range(3)]
        )
        for severity in (2.0, 6.0, 18.0)
    ]
    assert means[0] < means[1] < means[2]
    assert means[0] < 3.5


@pytest.mark.parametrize("mechanism", SURFACE_MECHANISMS)
def test_a_faint_defect_still_has_a_mask(mechanism: Mechanism) -> None:
    made = render_defect(scene("surface"), spec_of(mechanism, severity=0.5, area_fraction=0.003))
    assert made.mask.any()


@pytest.mark.parametrize("mechanism", ["scratch", "crack", "cut", "abrasion", "dent", "hole", "stain", "discoloration"])
@pytest.mark.parametrize("center", [(0.25, 0.3), (0.7, 0.72)])
def test_a_given_centre_is_where_the_defect_is(mechanism: Mechanism, center: tuple[float, float]) -> None:
    before = scene("surface", size=160)
    made = render_defect(before, spec_of(mechanism, center=center, area_fraction=0.008))
    rows, columns = np.nonzero(made.mask)
    assert abs(0.5 * (columns.min() + columns.max()) / 159 - center[0]) < 0.12
    assert abs(0.5 * (rows.min() + rows.max()) / 159 - center[1]) < 0.12
    assert made.spec.center == pytest.approx(center, abs=0.01)


@pytest.mark.parametrize("zone", ["top", "bottom", "left", "right", "center", "interior"])
@pytest.mark.parametrize("mechanism", ["hole", "dent", "scratch"])
def test_the_middle_of_a_defect_lies_in_its_zone(mechanism: Mechanism, zone: str) -> None:
    before = scene("surface", size=160)
    for seed in range(3):
        made = render_defect(before, spec_of(mechanism, zone=zone, area_fraction=0.004, elongation=8.0, seed=seed))
        assert made.spec.center is not None
        x, y = (round(value * 159) for value in made.spec.center)
        near = before.zone_mask(made.spec.zone)[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        assert near.any()


@pytest.mark.parametrize("degrees", [0.0, 35.0, 90.0, -40.0])
@pytest.mark.parametrize("mechanism", ["scratch", "crack", "cut", "fibre"])
def test_elongated_defects_run_in_the_given_direction(mechanism: Mechanism, degrees: float) -> None:
    made = render_defect(
        scene("surface", size=192), spec_of(mechanism, orientation_deg=degrees, center=(0.5, 0.5), severity=12.0)
    )
    rows, columns = np.nonzero(made.mask)
    _, vectors = np.linalg.eigh(np.cov(np.stack([columns, -rows])))
    found = np.rad2deg(np.arctan2(vectors[1, -1], vectors[0, -1]))
    assert abs((found - degrees + 90.0) % 180.0 - 90.0) < 25.0


@pytest.mark.parametrize("mechanism", SURFACE_MECHANISMS)
def test_changes_of_the_surface_stay_on_the_object(mechanism: Mechanism) -> None:
    before = scene("part", size=160)
    near = cv2.dilate(before.foreground.astype(np.uint8), np.ones((11, 11), np.uint8)).astype(bool)
    for seed in range(4):
        made = render_defect(before, spec_of(mechanism, zone="edge", area_fraction=0.03, seed=seed))
        assert not (made.mask & ~near).any()


def test_several_instances_lie_apart() -> None:
    made = render_defect(scene("surface", size=192), spec_of("hole", count=5, area_fraction=0.02, severity=12.0))
    count, _ = cv2.connectedComponents(made.mask.astype(np.uint8), connectivity=8)
    assert count - 1 >= 4


def test_the_spec_that_comes_back_says_where_and_how_large_the_defect_is() -> None:
    made = render_defect(scene(), spec_of("dent"))
    assert made.spec.center is not None
    assert made.spec.orientation_deg is not None
    assert made.spec.mechanism == "dent"
    assert made.spec.seed == 3


def test_a_grey_photo_stays_grey_in_colour_modes() -> None:
    grey = np.repeat(cv2.cvtColor(make_photo("part", 0, 96), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    before = Scene(photo_from_array(grey))
    for mechanism in SURFACE_MECHANISMS:
        native = render_defect(before, spec_of(mechanism, severity=15.0)).photo.native.astype(int)
        assert np.ptp(native, axis=2).max() <= 1, mechanism


def test_a_photo_without_any_room_for_change_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        return None

    monkeypatch.setattr("anomalyagent.mcp_tools.procedural.mechanisms.hole.render", refuse)
    with pytest.raises(BackendError, match="no visible hole"):
        render_defect(scene(), spec_of("hole"))


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["scratch", "hole", "chip"])
def test_a_very_large_photo_is_drawn_at_its_own_scale(mechanism: Mechanism) -> None:
    small = make_photo("part", 0, 256)
    before = Scene(photo_from_array(cv2.resize(small, (4096, 4096), interpolation=cv2.INTER_CUBIC)))
    made = render_defect(before, spec_of(mechanism, area_fraction=0.002))
    assert 0.5 < made.spec.area_fraction / 0.002 < 2.0
    assert np.array_equal(made.photo.native[~made.mask], before.photo.native[~made.mask])


def test_what_breaks_one_of_several_pieces_leaves_the_others_as_they_are() -> None:
    photo = np.full((160, 160, 3), 20.0)
    y, x = np.mgrid[:160, :160]
    pieces = [np.hypot(x - cx, y - cy) < 34 for cx in (42, 118) for cy in (42, 118)]
    for piece in pieces:
        photo[piece] = (210, 200, 180)
    photo += np.random.default_rng(0).normal(0, 1.5, photo.shape)
    scene = Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))
    drawn = 0
    for seed in range(12):
        spec = DefectSpec(mechanism="chip", zone="edge", area_fraction=0.15, elongation=2.5, severity=12.0, seed=seed)
        made = render_defect(scene, spec)
        assert sum(bool((made.mask & piece).any()) for piece in pieces) <= 1
        drawn += 1
    assert drawn == 12
