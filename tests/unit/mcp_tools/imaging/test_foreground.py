"""What is background although it is dark or enclosed, and what is object although it is dark: holes, shadows, spots."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.foreground import find_foreground

SIDE = 200
Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
R = np.hypot(X - 100, Y - 100)


def _photo(colour: NDArray[np.float64], seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(colour, (0, 0), 0.8) + rng.normal(0.0, 0.008, colour.shape)
    return np.clip(soft, 0.0, 1.0).astype(np.float32)


def _ring(background: float, body: float, hole: float) -> NDArray[np.float32]:
    image = np.full((SIDE, SIDE, 3), background)
    image[R < 70] = body
    image[R < 34] = hole * (0.75 + 0.004 * X[R < 34, None])
    return _photo(image)


@pytest.mark.parametrize(("bench", "hole"), [(0.22, 0.16), (0.22, 0.12), (0.75, 0.55)])
def test_a_hole_in_whose_depth_the_bench_lies_in_shadow_is_background(bench: float, hole: float) -> None:
    found = find_foreground(_ring(bench, 0.72 if bench < 0.5 else 0.2, hole))
    assert found[(R > 40) & (R < 64)].mean() > 0.98
    assert found[R < 30].mean() < 0.05
    assert found[R > 76].mean() < 0.01


def test_the_dark_mouth_of_a_bottle_on_a_light_table_is_object() -> None:
    found = find_foreground(_ring(0.95, 0.3, 0.12))
    assert found[R < 66].all()


def test_a_cast_shadow_beside_a_part_and_between_its_leads_is_background() -> None:
    image = np.ones((SIDE, SIDE, 3)) * np.array([0.66, 0.67, 0.70])
    leads = (Y >= 80) & (Y < 160) & (X > 30) & (X < 175) & ((X.astype(int) - 32) % 34 < 13)
    body = (Y > 40) & (Y < 90) & (X > 25) & (X < 180)
    dark = cv2.GaussianBlur(np.roll((leads | body).astype(np.float64), (6, 7), (0, 1)), (0, 0), 3.0)
    image *= (1.0 - 0.35 * dark)[..., None]
    image[leads] = (0.78, 0.62, 0.25)
    image[body] = 0.17
    found = find_foreground(_photo(image))
    near = cv2.dilate((leads | body).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    inside = cv2.erode((leads | body).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert found[inside].mean() > 0.95
    assert found[~near].mean() < 0.03


@pytest.mark.parametrize("seed", range(6))
def test_an_uneven_or_spotted_surface_fills_the_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (3, SIDE, SIDE))
    brushed = cv2.GaussianBlur(noise[0], (0, 0), sigmaX=0.7, sigmaY=14.0)
    clouds = cv2.GaussianBlur(noise[1], (0, 0), 25.0)
    ragged = clouds / clouds.std() + 0.6 * cv2.GaussianBlur(noise[2], (0, 0), 4.0) * 8.0
    tone = 0.35 + 0.02 * brushed / brushed.std() + 0.25 / (1.0 + np.exp(-3.0 * ragged))
    assert find_foreground(_photo(np.repeat(tone[..., None], 3, axis=2), seed)).all()


def _tray(rows: int, seed: int, *, cut: bool, long: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Parts strewn over a dark ground, `rows` x `rows` of them; with `cut` the frame cuts those on the left."""
    side, rng = 400, np.random.default_rng(seed)
    cell = side / (rows + 0.4)
    parts = np.zeros((side, side), np.uint8)
    image = np.full((side, side, 3), 0.2)
    for row, column in np.ndindex(rows, rows):
        at = [
            int((one + shift + rng.uniform(-0.06, 0.06)) * cell) for one, shift in ((column, 0.15 if cut else 0.7), (row, 0.7))
        ]
        axes = (int(0.36 * cell), int((0.18 if long else 0.33) * cell))
        part = np.zeros((side, side), np.uint8)
        cv2.ellipse(part, at, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        image[part > 0] = np.array([0.75, 0.35, 0.25]) * rng.uniform(0.9, 1.1)
        parts |= part
    return image, parts > 0


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("rows", [3, 4, 5, 6])
def test_every_part_of_a_tray_is_object(rows: int, cut: bool, long: bool) -> None:
    image, parts = _tray(rows, rows, cut=cut, long=long)
    found = find_foreground(_photo(image))
    assert (found & parts).sum() / (found | parts).sum() > 0.85


@pytest.mark.parametrize("grain_px", [4, 6, 8])
@pytest.mark.parametrize("seed", range(4))
def test_a_surface_with_crisp_blots_fills_the_frame(grain_px: int, seed: int) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(256, 256)), (0, 0), grain_px)
    tone = np.where(noise > np.quantile(noise, 0.65), 0.35, 0.8)
    assert find_foreground(_photo(np.repeat(tone[..., None], 3, axis=2), seed)).all()


@pytest.mark.parametrize("reach_px", [80, 92])
def test_a_pale_part_on_a_white_table_is_object_around_its_dark_middle(reach_px: int) -> None:
    image = np.full((SIDE, SIDE, 3), 0.97)
    part, near = reach_px > R, reach_px + 4 > R
    image[part] = 0.91
    image[R < 30] = (0.35, 0.28, 0.22)
    found = find_foreground(_photo(image))
    assert found[cv2.erode(part.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0].mean() > 0.99
    assert found[~near].mean() < 0.02


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("lamp", ["left", "top"])
def test_the_gaps_between_the_parts_of_a_tray_are_no_object_where_the_light_falls_off(lamp: str, cut: bool) -> None:
    """Of coins on a cloth that was lit from one side, the gaps where it was darkest counted as object."""
    image, parts = _tray(5, 1, cut=cut, long=False)
    rows, columns = np.mgrid[:400, :400] / 400.0
    fall = 1.0 / (1.0 + np.exp(14.0 * (columns - 0.35))) if lamp == "left" else np.exp(-(((rows - 0.1) / 0.15) ** 2))
    image = np.where(parts, 0.65, 0.12 + 0.2 * fall)[..., None].repeat(3, axis=2)
    found = find_foreground(_photo(image))
    assert (found & parts).sum() / (found | parts).sum() > 0.9


@pytest.mark.parametrize("turned", [False, True])
def test_bent_parts_of_one_shape_are_object_though_they_fill_little_of_their_hulls(turned: bool) -> None:
    """Pasta, hooks, cashews: cracks and stains were drawn on the cloth below them."""
    rng, parts = np.random.default_rng(3), np.zeros((300, 400), np.uint8)
    for at in ((110, 80), (290, 80), (110, 215), (290, 215)):
        start = float(rng.uniform(0, 360)) if turned else 10.0
        cv2.ellipse(parts, at, (46, 46), 0.0, start, start + 165.0, 1, 34)
    cloth = np.array([0.20, 0.29, 0.24]) + 0.012 * rng.normal(size=(300, 400, 1))
    found = find_foreground(_photo(np.where(parts[..., None] > 0, np.array([0.85, 0.7, 0.35]), cloth)))
    assert (found & (parts > 0)).sum() / (found | (parts > 0)).sum() > 0.85


def test_the_soft_shadows_of_small_parts_are_no_part_of_them() -> None:
    """Capsules on a light table: their shadows added up to half of what they are, and were taken for the rest of them."""
    rng, side, cell = np.random.default_rng(5), 700, 175
    parts = np.zeros((side, side), np.uint8)
    for row, column in np.ndindex(4, 4):
        angle = float(rng.uniform(0.0, np.pi))
        reach = 26.0 * np.array([np.cos(angle), np.sin(angle)])
        at = np.array([column + 0.5, row + 0.5]) * cell
        first, last = (tuple(int(value) for value in end) for end in (at - reach, at + reach))
        cv2.line(parts, first, last, 1, 42)
    shadow = cv2.GaussianBlur(np.roll(parts, (6, 6), (0, 1)).astype(np.float32), (0, 0), 12.0)
    table = np.array([0.80, 0.80, 0.78]) * (1.0 - 0.4 * shadow[..., None])
    found = find_foreground(_photo(np.where(parts[..., None] > 0, np.array([0.1, 0.4, 0.2]), table)))
    assert (found & (parts > 0)).sum() / (found | (parts > 0)).sum() > 0.93


def _on_a_table_with_its_shadow(
    part: NDArray[np.bool_], colour: tuple[float, float, float], depth: float
) -> NDArray[np.float64]:
    """`part` on a pale, slightly cloudy table; the shadow takes `depth` of the light and reaches far to the lower right."""
    clouds = cv2.GaussianBlur(np.random.default_rng(5).normal(size=(SIDE, SIDE)), (0, 0), 12.0)
    image = np.full((SIDE, SIDE, 3), 0.70) * (1.0 + 0.015 * clouds / clouds.std())[..., None]
    cast = cv2.dilate(part.astype(np.uint8), np.ones((9, 9), np.uint8), anchor=(8, 8), iterations=4)
    shadow = np.maximum(
        cv2.GaussianBlur(cast.astype(np.float64), (0, 0), 9.0), 0.8 * cv2.GaussianBlur(cast * 1.0, (0, 0), 20.0)
    )
    image *= (1.0 - depth * shadow)[..., None]
    image[part] = colour
    return image


@pytest.mark.parametrize("colour", [(0.72, 0.60, 0.38), (0.12, 0.42, 0.22), (0.10, 0.10, 0.11)])
def test_a_part_with_a_wide_soft_shadow_on_a_pale_table_is_object(colour: tuple[float, float, float]) -> None:
    """The shadow passed for an uneven backdrop, so the photo for a surface, and defects were drawn on the table."""
    part = (np.abs(X - 80) < 55) & (np.abs(Y - 80) < 50)
    found = find_foreground(_photo(_on_a_table_with_its_shadow(part, colour, 0.5)))
    assert found[part].mean() > 0.97
    assert found.mean() < 1.25 * part.mean()


def test_the_deep_shadow_beside_a_coloured_part_is_background_and_its_black_pin_is_object() -> None:
    body, pin = (np.abs(X - 80) < 42) & (np.abs(Y - 90) < 38), (np.abs(X - 80) < 9) & (Y > 20) & (Y < 52)
    image = _on_a_table_with_its_shadow(body, (0.08, 0.22, 0.58), 0.62)
    image[pin] = 0.16
    found = find_foreground(_photo(image))
    near = cv2.dilate((body | pin).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert found[body].mean() > 0.97
    assert found[pin].mean() > 0.9
    assert found[~near].mean() < 0.01


@pytest.mark.parametrize("colour", [(0.83, 0.81, 0.73), (0.79, 0.78, 0.74), (0.73, 0.71, 0.64)])
def test_the_pale_body_around_the_contacts_of_a_connector_is_no_fringe(colour: tuple[float, float, float]) -> None:
    """The contacts stand out and lie close together, so that all of the body is near one of them."""
    body, inner = (np.abs(X - 100) < 70) & (np.abs(Y - 100) < 36), (np.abs(X - 100) < 64) & (np.abs(Y - 100) < 30)
    image = np.full((SIDE, SIDE, 3), 0.75)
    image[body] = colour
    image[inner & ((X.astype(int) - 40) % 14 < 8) & (np.abs(np.abs(Y - 100) - 15) < 9)] = 0.12
    found = find_foreground(_photo(image))
    assert found[body].mean() > 0.95
    assert found[~body].mean() < 0.02


def test_a_dark_part_with_a_shadow_as_large_as_itself_is_the_object_of_a_close_up() -> None:
    """A battery that fills much of its photo, with its shade over most of the slate that one saw, was a surface."""
    high, wide = 280, 640
    y, x = np.mgrid[0:high, 0:wide].astype(np.float64)
    part = (np.abs(y - 110) < 62) & (np.abs(x - 300) < 240)
    layers = (np.roll(part.astype(np.float64), (step, step), (0, 1)) for step in (8, 22, 36, 50, 64))
    shade = np.mean([cv2.GaussianBlur(layer, (0, 0), 24.0) for layer in layers], axis=0) * 1.25
    image = np.array([0.342, 0.36, 0.378]) * (1.0 - 0.8 * np.clip(shade, 0.0, 1.0))[..., None]
    image[part] = 0.02 + 0.15 * np.exp(-(((y[part] - 75) / 14) ** 2))[:, None]
    found = find_foreground(_photo(image))
    assert found[part].mean() > 0.97
    assert found[~part].mean() < 0.05


def _on_green(part: NDArray[np.bool_], depth: float, sigma: float) -> NDArray[np.float64]:
    shade = np.mean(
        [cv2.GaussianBlur(np.roll(part.astype(np.float64), (step, step), (0, 1)), (0, 0), sigma) for step in (4, 8, 12, 16)],
        axis=0,
    )
    return np.array([0.20, 0.42, 0.32]) * (1.0 - depth * shade)[..., None]


def test_on_a_coloured_cloth_a_deep_and_sharp_shadow_is_background() -> None:
    """The dark green beside a nut on green cloth was part of the nut, and its edge broke there."""
    part = (np.hypot((X - 100) / 1.5, Y - 95) < 36) & (np.hypot((X - 100) / 1.2, Y - 40) > 30)
    image = _on_green(part, 0.8, 3.5)
    image[part] = (0.78, 0.66, 0.46)
    found = find_foreground(_photo(image))
    near = cv2.dilate(part.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert found[part].mean() > 0.95
    assert found[~near].mean() < 0.005


def test_the_black_package_of_a_part_on_a_green_mat_is_no_shade_of_the_mat() -> None:
    body, tab = (np.abs(X - 100) < 36) & (np.abs(Y - 90) < 28), (np.abs(X - 100) < 36) & (np.abs(Y - 44) < 18)
    leads = (np.abs((X - 100) % 24 - 12) > 8) & (np.abs(X - 100) < 30) & (Y >= 118) & (Y < 172)
    image = _on_green(body | tab | leads, 0.8, 2.0) * 0.8
    image[tab | leads] = (0.62, 0.63, 0.65)
    image[body] = 0.05
    found = find_foreground(_photo(image))
    near = cv2.dilate((body | tab | leads).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert found[body | tab].mean() > 0.95
    assert found[~near].mean() < 0.02
