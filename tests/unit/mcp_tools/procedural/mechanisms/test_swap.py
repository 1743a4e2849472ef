"""Swapped parts are photographed pixels in the wrong place, turn or colour; corners and gaps are no parts."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.sites import comb, draw, labelled_sheet, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import swap
from anomalyagent.mcp_tools.procedural.parts.component import is_flank, mask_in
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of
from anomalyagent.mcp_tools.procedural.parts.search import find_components
from anomalyagent.mcp_tools.procedural.retouching.cutout import fill_behind
from anomalyagent.mcp_tools.procedural.retouching.recolored import recolored

NORMALS = Path(__file__).parents[5] / "examples" / "normals"
SPEC = DefectSpec(mechanism="swap", severity=8.0)


@pytest.mark.parametrize("seed", range(8))
def test_a_swap_can_be_seen_and_stays_in_its_window(seed: int) -> None:
    site = site_on(labelled_sheet(), (64, 64), 280)
    edit = swap.render(site, SPEC, np.random.default_rng(seed))
    assert edit is not None
    assert edit.strength_fixed
    assert edit.photographed
    change = np.abs(draw(site, edit) - site.scene.photo.rgb).max(axis=2)
    assert (change > 0.05).sum() > 30
    inside = np.zeros_like(change, bool)
    inside[edit.window.slices] = True
    assert change[~inside].max() == 0.0


def test_printed_bars_are_found_as_parts() -> None:
    parts = find_components(site_on(labelled_sheet(), (64, 64), 280))
    assert 1 <= len(parts) <= 3
    for part in parts:
        assert 180 < part.area_px < 500
        assert part.elongation > 1.8


def test_a_corner_of_the_body_is_no_part() -> None:
    for area in (100.0, 300.0, 900.0):
        for part in find_components(site_on(comb(), (112, 20), area)):
            assert not (np.hypot(part.center_xy[0] - 115, part.center_xy[1] - 16) < 10)


def test_grey_photos_get_no_coloured_part() -> None:
    grey = np.repeat(labelled_sheet().mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    for seed in range(8):
        edit = swap.render(site_on(grey, (64, 64), 280), SPEC, np.random.default_rng(seed))
        assert edit is not None
        assert edit.paint is not None
        assert np.ptp(edit.paint, axis=2).max() < 0.01


def test_a_sheet_that_looks_the_same_everywhere_cannot_be_swapped() -> None:
    assert swap.render(site_on(np.full((96, 96, 3), 128, np.uint8), (48, 48), 300), SPEC, np.random.default_rng(0)) is None


def test_a_brushed_sheet_shows_a_turned_piece() -> None:
    site = site_on(plain_sheet(grain=14.0), (64, 64), 700)
    assert any(swap.render(site, SPEC, np.random.default_rng(seed)) is not None for seed in range(4))


def test_where_a_part_sat_in_a_body_the_body_goes_on_behind_it() -> None:
    rgb = np.full((60, 60, 3), 0.6, np.float32)
    rgb[:20] = 0.15  # a dark housing
    hole = np.zeros((60, 60), bool)
    hole[14:50, 28:33] = True  # a pin that reaches into it
    rgb[hole] = (0.8, 0.6, 0.2)
    filled = fill_behind(rgb, hole, np.random.default_rng(0))
    assert filled[15:18, 28:33].mean() < 0.25
    assert filled[26:48, 28:33].mean() > 0.5
    assert np.array_equal(filled[~hole], rgb[~hole])


def test_a_part_of_another_colour_keeps_nothing_of_its_own_hue_in_light_and_shade() -> None:
    """Of a yellow pin that became blue the highlight and the shaded side stayed yellow."""
    y, x = np.mgrid[:128, :128].astype(np.float32)
    inside = np.hypot(x - 64, y - 64) < 24
    light = np.clip(0.75 - 0.02 * (x - 64) - 0.008 * (y - 64), 0.25, 1.15)
    photo = np.full((128, 128, 3), 0.62, np.float32)
    photo[inside] = np.clip(np.array([0.95, 0.72, 0.1]) * light[..., None] + 0.35 * (light[..., None] > 1.05), 0, 1)[inside]
    site = site_on(np.rint(255 * photo).astype(np.uint8), (64, 64), 1800)
    part = find_components(site)[0]
    edit = recolored(site, part, np.random.default_rng(1))
    assert edit is not None
    after = lab_from_rgb(draw(site, edit))
    kept = (np.hypot(x - 64, y - 64) < 20) & (np.hypot(after[..., 1], after[..., 2]) > 10.0)
    turned = np.arctan2(after[..., 2], after[..., 1])[kept]
    away = np.angle(np.exp(1j * (turned - np.median(turned))))
    assert float(np.percentile(np.abs(away), 98)) < 0.6


@pytest.mark.parametrize("area", [0.2, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_of_like_pieces_on_a_tray_one_is_wrong_as_a_whole(area: float, seed: int) -> None:
    """Rectangles of a candle's face lay across it, or all candles were moved together."""
    photo, owners = np.full((240, 240, 3), 18, np.uint8), np.zeros((240, 240), np.uint8)
    for index, (x, y) in enumerate(((62, 62), (178, 62), (62, 178), (178, 178))):
        cv2.ellipse(photo, (x, y), (40, 26), 20.0 * index, 0, 360, (225, 190, 90), -1, cv2.LINE_AA)
        owners[(y > 120) * 120 : (y > 120) * 120 + 120, (x > 120) * 120 : (x > 120) * 120 + 120] = index
    noise = np.random.default_rng(0).normal(0.0, 1.5, (240, 240, 1))
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)))
    made = render_defect(scene, DefectSpec(mechanism="swap", area_fraction=area, severity=14.0, seed=seed))
    changed = np.sort(np.bincount(owners[made.mask], minlength=4))
    assert changed[:3].sum() <= 0.05 * changed[3]
    assert changed[3] > 0.08 * scene.object_area_px


@pytest.mark.parametrize("seed", range(6))
def test_what_has_another_colour_ends_where_the_photo_has_an_edge(seed: int) -> None:
    """Rectangles of other places lay across fields, print and outline, with a glow along their seam."""
    photo, fields = np.full((240, 240, 3), 235, np.uint8), np.zeros((240, 240), np.uint8)
    for index, (box, color) in enumerate(
        (((30, 30, 90, 210), (210, 120, 30)), ((90, 30, 210, 110), (60, 110, 70)), ((90, 110, 210, 210), (120, 60, 60)))
    ):
        x0, y0, x1, y1 = box
        photo[y0:y1, x0:x1], fields[y0:y1, x0:x1] = color, index + 1
    noise = np.random.default_rng(0).normal(0.0, 2.0, photo.shape)
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)))
    made = render_defect(scene, DefectSpec(mechanism="swap", area_fraction=0.12, elongation=1.5, severity=12.0, seed=seed))
    changed = np.bincount(fields[made.mask], minlength=4)[1:] / np.bincount(fields.ravel(), minlength=4)[1:]
    moved = bool(made.mask[fields == 0].sum() > 0.02 * scene.object_area_px)  # the body as a whole
    assert moved or ((changed < 0.06) | (changed > 0.85)).all()
    assert changed.max() > 0.3


def test_what_runs_along_the_outline_is_not_lifted_off_the_body() -> None:
    """Slivers of a rim lay across it like crossed swords."""
    scene = Scene(read_photo(NORMALS / "metal_nut" / "000.jpg"))
    beyond = cv2.dilate(scene.foreground.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    for seed in range(6):
        made = render_defect(scene, DefectSpec(mechanism="swap", zone="edge", area_fraction=0.015, severity=12.0, seed=seed))
        assert made.mask.sum() > 0.2 * scene.object_area_px or not made.mask[beyond].any()


def test_one_side_of_a_groove_is_no_part_that_could_be_moved() -> None:
    rows, columns = np.arange(240.0)[:, None] - 120.0, np.arange(240.0)[None] - 120.0
    relief = -60.0 * np.exp(-(((rows + 4.0) / 3.0) ** 2)) + 60.0 * np.exp(-(((rows - 4.0) / 3.0) ** 2))
    body = np.where(np.hypot(rows, columns) < 90.0, 130.0, 20.0) + np.random.default_rng(0).normal(0.0, 1.5, (240, 240))
    groove, bar = (
        np.clip(body + (np.abs(columns) < 40.0) * shape, 0, 255).astype(np.uint8) for shape in (relief, np.maximum(relief, 0.0))
    )
    found = []
    for photo in (groove, bar):
        site = site_on(photo, (120, 124), 500)
        found.append([is_flank(site.scene, part) for part in find_components(site)])
    assert found[0]
    assert all(found[0])
    assert found[1] == [False]


def test_a_symmetric_object_is_not_turned_into_the_same_look() -> None:
    ys, xs = np.mgrid[:200, :200]
    disc = np.hypot(xs - 100, ys - 100) < 60
    noise = np.random.default_rng(1).normal(0.0, 3.0, (200, 200))
    photo = np.clip(np.where(disc, 150.0, 30.0) + noise, 0, 255).astype(np.uint8)
    for seed in range(6):
        edit = swap.render(
            site_on(photo, (100, 100), 10_000), SPEC.model_copy(update={"area_fraction": 0.9}), np.random.default_rng(seed)
        )
        if edit is not None:  # put down elsewhere
            assert edit.paint is not None
            change = np.abs(edit.paint - photo[edit.window.slices][..., None] / 255.0).max(axis=2)
            assert (change > 0.2).sum() > 0.03 * disc.sum()


def _heap() -> Scene:
    """Coins that touch, each with a stripe that tells how it lies, on white paper."""
    photo = np.full((320, 360, 3), 240, np.uint8)
    for row in range(3):
        for column in range(4):
            x, y = 82 + 52 * column + 26 * (row % 2), 110 + 46 * row
            cv2.circle(photo, (x, y), 26, (120, 84, 40), cv2.FILLED)
            cv2.rectangle(photo, (x - 16, y - 4), (x + 16, y + 4), (230, 190, 110), cv2.FILLED)
    return Scene(photo_from_array(cv2.GaussianBlur(photo, (0, 0), 0.8)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("area", [0.1, 0.5])
def test_in_a_heap_one_piece_is_out_of_place(area: float, seed: int) -> None:
    scene = _heap()
    spec = DefectSpec(mechanism="swap", area_fraction=area, severity=10.0, seed=seed)
    drawn = render_defect(scene, spec, swap.OutOfPlace(frozenset({"move"})))
    one = np.pi * 26**2
    assert np.count_nonzero(drawn.mask) < 2.6 * one
    assert np.count_nonzero(drawn.mask) > 0.3 * one


@pytest.mark.parametrize("seed", range(4))
def test_what_is_moved_does_not_land_on_another_piece(seed: int) -> None:
    scene = _heap()
    drawn = render_defect(
        scene, SPEC.model_copy(update={"seed": seed, "area_fraction": 0.4}), swap.OutOfPlace(frozenset({"move"}))
    )
    brown = drawn.photo.rgb[..., 2] < 0.6
    assert np.count_nonzero(brown) > 0.985 * np.count_nonzero(scene.photo.rgb[..., 2] < 0.6)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_called_rotated_keeps_its_colour_and_its_place(seed: int) -> None:
    scene = _heap()
    drawn = render_defect(
        scene, SPEC.model_copy(update={"seed": seed, "area_fraction": 0.1}), swap.OutOfPlace(frozenset({"turn"}))
    )
    before, after = (lab_from_rgb(rgb).reshape(-1, 3) for rgb in (scene.photo.rgb, drawn.photo.rgb))
    hue = np.median(np.arctan2(after[:, 2], after[:, 1])[drawn.mask.ravel()])
    assert abs(hue - np.median(np.arctan2(before[:, 2], before[:, 1])[drawn.mask.ravel()])) < 0.2
    ys, xs = np.nonzero(drawn.mask)
    assert max(np.ptp(xs), np.ptp(ys)) < 64


@pytest.mark.parametrize("seed", range(6))
def test_print_that_is_moved_stays_on_what_it_is_printed_on(seed: int) -> None:
    scene = _heap()
    drawn = render_defect(
        scene, SPEC.model_copy(update={"seed": seed, "area_fraction": 0.01}), swap.OutOfPlace(frozenset({"move"}))
    )
    assert not drawn.mask[~cv2.dilate(scene.foreground.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)].any()


@pytest.mark.parametrize(
    ("words", "ways"),
    [
        ('Add one strong swapped element ("rotated chip") somewhere on the pcb.', {"turn"}),
        ('Add one swapped element ("misplaced component"). It has the right material.', {"move", "turn"}),
        ('Add one misplaced element ("cable swap") on the cable.', {"exchange", "recolor"}),
        ('Add one misplaced element ("wrong colour") on the cable.', {"recolor"}),
        ("shift one of the labels", {"move"}),
    ],
)
def test_the_words_say_what_has_happened(words: str, ways: set[str]) -> None:
    assert swap.named_ways(words) == ways


def test_a_pin_of_another_colour_is_of_another_metal() -> None:
    scene = Scene(read_photo(sorted((NORMALS / "connector").glob("*"))[0]))
    pins = protrusions_of(scene)
    recolored = 0
    for seed in range(8):
        spec = DefectSpec(mechanism="swap", area_fraction=pins[0].area_px / scene.object_area_px, severity=14.0, seed=seed)
        drawn = render_defect(scene, spec, swap.OutOfPlace(frozenset({"recolor"})))
        on_pins = drawn.mask & np.any([mask_in(Window(0, 0, *drawn.mask.shape), pin) for pin in pins], axis=0)
        if np.count_nonzero(on_pins) < 0.5 * np.count_nonzero(drawn.mask):
            continue
        recolored += 1
        _, a, b = np.median(lab_from_rgb(drawn.photo.rgb)[on_pins], axis=0)
        assert -4.0 < a < 24.0  # no green pins, no pink ones
        assert b > 0.6 * a - 4.0
    assert recolored >= 3
