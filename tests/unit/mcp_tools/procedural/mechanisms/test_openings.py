"""Cracks, cuts and holes: openings that swallow light."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.sites import plain_sheet
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect

SURFACE = Scene(photo_from_array(make_photo("surface", 0, 160)))


def draw(mechanism: Mechanism, scene: Scene = SURFACE, **fields: object) -> Rendered:
    given = {"mechanism": mechanism, "elongation": 25.0, "area_fraction": 0.008, "severity": 12.0, **fields}
    return render_defect(scene, DefectSpec.model_validate(given))


@pytest.mark.parametrize("mechanism", ["crack", "cut", "hole"])
def test_openings_are_darker_than_the_surface(mechanism: Mechanism) -> None:
    for seed in range(5):
        made = draw(mechanism, elongation=2.0 if mechanism == "hole" else 25.0, seed=seed)
        change = (made.photo.rgb - SURFACE.photo.rgb)[made.mask]
        assert np.percentile(change, 25) < -0.05
        assert change.mean() < 0


def test_cracks_taper() -> None:
    ratios: list[float] = []
    for seed in range(6):
        made = draw("crack", elongation=50.0, area_fraction=0.012, orientation_deg=0.0, center=(0.5, 0.5), seed=seed)
        columns = np.flatnonzero(made.mask.any(axis=0))
        widths = made.mask.sum(axis=0)[columns[0] : columns[-1] + 1]
        tip = np.concatenate([widths[:3], widths[-3:]]).mean()
        ratios.append(float(tip / np.percentile(widths, 90)))
    assert np.median(ratios) < 0.7


def test_no_two_cracks_look_the_same() -> None:
    masks = [draw("crack", center=(0.5, 0.5), orientation_deg=90.0, seed=seed).mask for seed in range(5)]
    overlaps = [(a & b).sum() / (a | b).sum() for i, a in enumerate(masks) for b in masks[:i]]
    assert max(overlaps) < 0.8


def test_a_round_hole_is_compact() -> None:
    made = draw("hole", elongation=1.0, area_fraction=0.02, seed=1)
    contours, _ = cv2.findContours(made.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    hull = cv2.contourArea(cv2.convexHull(contour))
    assert cv2.contourArea(contour) / hull > 0.8


def test_some_holes_go_right_through_an_object_and_show_what_is_behind() -> None:
    y, x = np.mgrid[:128, :128]
    native = np.full((128, 128, 3), (30, 120, 40), np.uint8)  # green bench
    native[np.hypot(x - 64, y - 64) < 50] = (170, 170, 172)
    native = np.clip(native + np.random.default_rng(0).normal(0, 2, native.shape), 0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(native))
    green = 0
    for seed in range(25):
        made = draw("hole", scene, elongation=1.2, area_fraction=0.04, severity=15.0, zone="interior", seed=seed)
        inside = made.photo.rgb[cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7))).astype(bool)]
        green += bool(np.median(inside[:, 1]) > 1.5 * np.median(inside[:, 0]))
    assert 1 <= green <= 15


def test_pinholes_are_drawn_down_to_a_few_pixels() -> None:
    made = draw("hole", elongation=1.0, area_fraction=1e-5, count=3, severity=10.0)
    assert 3 <= made.mask.sum() < 120


def test_where_a_piece_broke_out_of_a_soft_outline_no_line_of_it_is_left() -> None:
    y, x = np.mgrid[:240, :240].astype(np.float32)
    away = np.hypot(x - 120, y - 120)
    solid = 1.0 / (1.0 + np.exp((away - 85.0) / 2.5))  # a rounded part that fades out over several pixels
    solid -= 0.12 * ((x % 16 < 8) & (y % 16 < 8) & (away < 60))  # and has sharp details
    photo = photo_from_array(np.repeat((235 - 180 * solid).astype(np.uint8)[..., None], 3, axis=2))
    notches = 0
    for seed in range(16):
        spec = DefectSpec(mechanism="chip", zone="edge", area_fraction=0.03, severity=60.0, seed=seed)
        after = render_defect(Scene(photo), spec).photo.rgb[..., 0]
        opened = (after > 0.85) & (away < 80)
        if opened.sum() < 40:
            continue
        notches += 1
        turn = float(np.arctan2(y[opened].mean() - 120, x[opened].mean() - 120))
        radii = np.arange(float(away[opened].min()) + 3.0, 110.0)
        ray = after[(120 + radii * np.sin(turn)).round().astype(int), (120 + radii * np.cos(turn)).round().astype(int)]
        assert ray.min() > 0.84
    assert notches >= 2


def test_a_chip_sits_in_the_body_of_a_part_and_not_in_its_pins() -> None:
    photo = np.full((160, 160, 3), 200, np.uint8)
    photo[30:90, 20:140] = 60
    for x in range(30, 140, 22):
        photo[90:140, x : x + 5] = 90
    scene = Scene(photo_from_array(photo))
    pins = np.zeros((160, 160), bool)
    pins[98:140] = True
    for seed in range(6):
        made = render_defect(scene, DefectSpec(mechanism="chip", zone="edge", area_fraction=0.04, severity=14.0, seed=seed))
        assert (made.mask & pins).sum() < 0.15 * made.mask.sum()


def test_a_chip_in_black_plastic_leaves_the_golden_pins_alone_and_does_not_glitter_like_them() -> None:
    """Pins were eaten at their roots, where a shadow passes for the body, and their highlights lent the fracture flashes."""
    scene = Scene(read_photo(Path("examples/normals/connector/000.jpg")))
    pins = scene.lab[..., 2] > 15
    for seed in range(8):
        made = draw("chip", scene, zone="edge", elongation=2.0, area_fraction=0.02, severity=18.0, seed=seed)
        after = Scene(made.photo).lab
        assert (made.mask & pins).sum() <= 3
        assert (after[made.mask & ~pins][:, 2] > 12).mean() < 0.01


def _pale_disc_on_blue() -> Scene:
    y, x = np.mgrid[:160, :160]
    native = np.full((160, 160, 3), (40, 80, 150), np.float32)
    native[np.hypot(x - 80, y - 80) < 55] = (205, 203, 200)
    native = cv2.GaussianBlur(native, (0, 0), 1.2) + np.random.default_rng(0).normal(0, 1.5, native.shape)
    return Scene(photo_from_array(np.clip(native, 0, 255).astype(np.uint8)))


def test_a_faint_fracture_at_the_outline_is_not_tinted_by_what_lies_behind_the_object() -> None:
    """Its shading was averaged across the outline: chips of a white tablet on a blue bench were a blue haze."""
    scene = _pale_disc_on_blue()
    inside = cv2.erode(scene.foreground.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    tints: list[float] = []
    for seed in range(14):
        made = draw(
            "chip", scene, zone="edge", elongation=2.5, area_fraction=0.05, severity=5.0, seed=seed
        )  # too faint to notch
        bluish = (made.photo.rgb[..., 2] - made.photo.rgb[..., 0])[made.mask & inside]
        assert bluish.max(initial=0.0) < 0.2
        tints += [float(bluish.mean())] if len(bluish) > 10 else []
    assert len(tints) >= 8
    assert -0.02 < np.mean(tints) < 0.006  # from the tint of the disc to grey; it was 0.017


def test_a_notch_leaves_nothing_of_the_fracture_beside_the_object() -> None:
    """Where the opening faded out along the outline, streaks of pale fracture lay on the backdrop."""
    scene = _pale_disc_on_blue()
    beside = cv2.dilate(scene.foreground.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    for seed in range(12):
        made = draw("chip", scene, zone="edge", elongation=2.0, area_fraction=0.03, severity=60.0, seed=seed)
        paler = (made.photo.rgb - scene.photo.rgb)[made.mask & beside]
        assert paler.max(initial=0.0) < 0.06


def _printed(contrast: int) -> Scene:
    rows = np.arange(200)[:, None, None]
    native = 150 + contrast * ((rows // 3) % 2) + np.random.default_rng(0).normal(0, 1.2, (200, 200, 3))
    return Scene(photo_from_array(native.astype(np.uint8)))


@pytest.mark.parametrize("mechanism", ["hole", "cut"])
def test_what_is_printed_on_a_surface_ends_where_it_is_opened(mechanism: Mechanism) -> None:
    scene = _printed(40)
    for seed in range(6):
        elongation = 1.2 if mechanism == "hole" else 5.0
        made = draw(mechanism, scene, elongation=elongation, area_fraction=0.03, severity=14.0, seed=seed, orientation_deg=0.0)
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        steps = [np.diff(photo.rgb.mean(axis=2), axis=0, append=0.0)[inside] for photo in (scene.photo, made.photo)]
        assert np.corrcoef(*steps)[0, 1] < 0.3


def test_the_lips_of_a_gaping_cut_are_no_wider_than_those_of_a_narrow_one() -> None:
    scene = _printed(4)
    for seed in range(4):
        made = draw("cut", scene, elongation=5.0, area_fraction=0.04, severity=30.0, seed=seed, orientation_deg=0.0)
        change = np.abs(made.photo.rgb - scene.photo.rgb).max(axis=2)
        opening = (change > 0.5 * np.percentile(change[made.mask], 90)).sum()
        assert made.mask.sum() < 2.2 * opening


def test_a_coloured_body_is_coloured_where_a_piece_broke_off() -> None:
    native = np.random.default_rng(0).normal((205, 130, 95), 2.0, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(native))
    saturation: list[float] = []
    for seed in range(12):
        made = draw("chip", scene, elongation=1.5, area_fraction=0.03, severity=14.0, seed=seed)
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        lab = cv2.cvtColor(made.photo.rgb, cv2.COLOR_RGB2LAB)
        saturation.append(float(np.median(np.hypot(lab[inside, 1], lab[inside, 2]))))
    whole = cv2.cvtColor(scene.photo.rgb, cv2.COLOR_RGB2LAB)[..., 1:]
    assert min(saturation) > 0.45 * float(np.median(np.hypot(whole[..., 0], whole[..., 1])))


def test_a_hole_that_cannot_be_blacker_keeps_its_wall() -> None:
    scene = Scene(photo_from_array(plain_sheet(256, 150)))
    contrast: list[float] = []
    for seed in range(10):
        made = draw("hole", scene, elongation=1.2, area_fraction=0.03, severity=45.0, color_shift=(-43, 0, 0), seed=seed)
        light = made.photo.rgb.mean(axis=2)[cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0]
        contrast.append(float(np.percentile(light, 90) - np.percentile(light, 10)))
    assert np.median(contrast) > 0.07, contrast


def test_a_cut_in_pale_flesh_is_no_lamp() -> None:
    brown = np.random.default_rng(0).normal((150, 95, 55), 3.0, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(brown))
    for seed in range(6):
        made = draw("cut", scene, elongation=6.0, area_fraction=0.02, severity=25.0, color_shift=(28, 0, 0), seed=seed)
        assert np.percentile(made.photo.rgb[made.mask].max(axis=1), 90) < 0.97


def printed_plastic(noise: float = 1.5) -> Scene:
    """An orange plate on a black bench with a white bar printed across its middle."""
    photo = np.full((128, 128, 3), 15.0)
    photo[10:118, 10:118] = (205, 85, 35)
    photo[50:66, 40:90] = (230, 225, 220)
    photo += np.random.default_rng(0).normal(0, noise, photo.shape)
    return Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))


def hole_in(scene: Scene, at: tuple[float, float], seed: int) -> NDArray[np.floating]:
    """(n, 3) colours of the darker half of a hole, 0..1."""
    made = draw(
        "hole", scene, elongation=1.0, area_fraction=0.02, center=at, color_shift=(-30.0, 0.0, 0.0), severity=20.0, seed=seed
    )
    inside = made.photo.rgb[made.mask]
    return inside[np.argsort(inside.mean(axis=1))[: len(inside) // 2]]


def test_a_hole_in_coloured_plastic_loses_light_in_every_colour() -> None:
    red, green, _ = np.mean([np.median(hole_in(printed_plastic(), (0.5, 0.8), seed), axis=0) for seed in (0, 2, 3)], axis=0)
    assert red < 3.2 * green


def test_print_does_not_shine_through_a_hole() -> None:
    for seed in (0, 1):
        dark = hole_in(printed_plastic(), (0.75, 0.34), seed)
        assert np.percentile(dark[:, 2] / dark[:, 0], 90) < 0.4


def test_a_hole_that_is_asked_for_dark_shows_no_pale_backdrop() -> None:
    photo = np.full((128, 128, 3), 225.0)
    photo[10:118, 10:118] = (205, 85, 35)
    photo += np.random.default_rng(0).normal(0, 1.5, photo.shape)
    scene = Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))
    for seed in range(16):
        made = draw(
            "hole", scene, elongation=1.0, area_fraction=0.03, center=(0.5, 0.5), color_shift=(-30.0, 0.0, 0.0), seed=seed
        )
        assert (made.photo.rgb - scene.photo.rgb)[made.mask].mean() < 0.0


@pytest.mark.parametrize("rounded", [True, False])
def test_a_hole_goes_right_through_a_flat_part_but_through_no_rounded_body(rounded: bool) -> None:
    """The green bench showed through insect holes in a nut."""
    y, x = np.mgrid[:160, :160].astype(np.float32)
    inside = np.hypot(x - 80, y - 80) < 55
    height = np.sqrt(np.clip(55.0**2 - (x - 80) ** 2 - (y - 80) ** 2, 0.0, None)) / 55.0
    lit = 0.45 + 0.5 * height + 0.15 * (80 - x) / 55.0 if rounded else np.full_like(x, 0.85)
    bench, part = np.array([0.1, 0.3, 0.26]), np.array([0.86, 0.74, 0.54])
    photo = np.where(inside[..., None], part * np.clip(lit, 0.0, 1.0)[..., None], bench)
    noise = np.random.default_rng(0).normal(0.0, 0.008, photo.shape)
    photo = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 0.8) + noise
    scene = Scene(photo_from_array(np.rint(255.0 * np.clip(photo, 0.0, 1.0)).astype(np.uint8)))
    through = 0
    for seed in range(30):
        made = draw("hole", scene, elongation=1.1, area_fraction=0.02, center=(0.5, 0.5), severity=16.0, seed=seed)
        seen = np.linalg.norm(made.photo.rgb - bench.astype(np.float32), axis=2)[made.mask & (np.hypot(x - 80, y - 80) < 30)]
        through += bool((seen < 0.05).mean() > 0.4)
    assert (through == 0) if rounded else (through > 1)


@pytest.mark.parametrize("mechanism", ["cut", "hole"])
def test_the_floor_of_an_opening_in_a_coloured_pattern_is_dark_and_has_one_colour(mechanism: Mechanism) -> None:
    y, x = np.mgrid[:192, :192]
    dyes = np.array([(190.0, 30.0, 20.0), (210.0, 165.0, 20.0), (60.0, 110.0, 40.0), (235.0, 90.0, 20.0)], np.float32)
    rug = dyes[((x // 24) + 2 * (y // 24)) % 4]
    rug += np.random.default_rng(3).normal(0.0, 2.0, rug.shape)
    scene = Scene(photo_from_array(np.clip(rug, 0, 255).astype(np.uint8)))
    for seed in range(4):
        made = draw(mechanism, scene, elongation=2.0, area_fraction=0.06, severity=10.0, center=(0.5, 0.5), seed=seed)
        floor = cv2.erode(made.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        lab = cv2.cvtColor(np.ascontiguousarray(made.photo.rgb, np.float32), cv2.COLOR_RGB2LAB)[floor]
        hue = np.rad2deg(np.arctan2(lab[:, 2], lab[:, 1]))
        assert np.percentile(hue, 90) - np.percentile(hue, 10) < 20.0
        assert np.median(lab[:, 0]) < scene.lab[..., 0].mean() - 8.0  # that the pattern is gone makes no hole
