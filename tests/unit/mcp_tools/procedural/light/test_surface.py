"""The surface model: what an Edit does to pixels."""

import numpy as np

from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Window
from anomalyagent.mcp_tools.procedural.light.surface import Surface, linear_from_srgb, srgb_from_linear

WINDOW = Window(8, 8, 56, 56)


def flat_surface(level: int = 128) -> Surface:
    scene = Scene(photo_from_array(np.full((64, 64, 3), level, np.uint8)))
    return Surface(scene, WINDOW, np.ascontiguousarray(scene.photo.rgb[WINDOW.slices]), seed=1)


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:48, :48].astype(np.float32)
    return np.hypot(x - 24, y - 24) < radius


def edit_of(**parts: object) -> Edit:
    return Edit(window=WINDOW, support=disc(12.0), **parts)  # type: ignore[arg-type]


def test_srgb_and_linear_are_inverse() -> None:
    values = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3)
    assert np.abs(srgb_from_linear(linear_from_srgb(values)) - values).max() < 1e-4


def test_reflectance_multiplies_linear_light() -> None:
    surface = flat_surface()
    drawn = surface.draw(edit_of(log_reflectance=np.full((48, 48, 3), np.log(2.0), np.float32)), 1.0)
    before, after = surface.linear[24, 24, 0], linear_from_srgb(drawn)[24, 24, 0]
    assert 1.8 < after / before < 2.01


def test_a_black_gap_keeps_some_stray_light() -> None:
    drawn = flat_surface().draw(edit_of(log_reflectance=np.full((48, 48, 3), -20.0, np.float32)), 1.0)
    assert 0.0 < drawn[24, 24, 0] < 0.25


def test_nothing_changes_far_from_the_support() -> None:
    surface = flat_surface()
    drawn = surface.draw(edit_of(shadow=np.full((48, 48), 0.5, np.float32)), 1.0)
    assert np.array_equal(drawn[~disc(18.0)], surface.rgb[~disc(18.0)])
    assert drawn[24, 24, 0] < surface.rgb[24, 24, 0]


def test_the_flank_of_a_bump_that_faces_the_light_is_the_bright_one() -> None:
    surface = flat_surface(110)
    y, x = np.mgrid[:48, :48].astype(np.float32)
    bump = 4.0 * np.clip(1.0 - ((x - 24) ** 2 + (y - 24) ** 2) / 144.0, 0.0, 1.0)
    drawn = surface.draw(edit_of(height=bump.astype(np.float32)), 1.0)[..., 0]
    azimuth = surface.scene.light[0]
    step_x, step_y = round(7 * np.cos(azimuth)), round(7 * np.sin(azimuth))
    assert drawn[24 + step_y, 24 + step_x] > surface.rgb[0, 0, 0] > drawn[24 - step_y, 24 - step_x]


def test_paint_covers_by_its_opacity_and_painting_again_covers_more() -> None:
    surface = flat_surface()
    paint = np.zeros((48, 48, 3), np.float32)
    once, twice = (surface.draw(edit_of(paint=paint, opacity=np.full((48, 48), 0.5, np.float32)), gain) for gain in (1.0, 2.0))
    full = surface.draw(edit_of(paint=paint, opacity=np.ones((48, 48), np.float32)), 1.0)
    assert surface.rgb[24, 24, 0] > once[24, 24, 0] > twice[24, 24, 0] > full[24, 24, 0] >= 0.0


def test_a_photo_out_of_focus_gets_soft_defects() -> None:
    y, x = np.mgrid[:96, :96].astype(np.float32)
    blurred = np.clip(128 + 60 * np.tanh((x - 48) / 4.0), 0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(blurred))
    surface = Surface(scene, Window(0, 0, 96, 96), scene.photo.rgb, seed=0)
    support = np.hypot(x - 24, y - 48) < 10
    drawn = surface.draw(Edit(surface.window, support, shadow=0.6 * support.astype(np.float32)), 1.0)
    profile = drawn[48, :48, 0]
    assert scene.blur_sigma_px > 1.0
    assert np.abs(np.diff(profile)).max() < 0.6 * (profile.max() - profile.min())


def test_on_a_woven_surface_paint_gets_no_more_noise_than_a_sensor_makes() -> None:
    native = np.random.default_rng(0).normal(120, 30, (64, 64, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
    native[..., 2] += np.uint8(4)
    scene = Scene(photo_from_array(native))
    assert scene.noise_sigma > 0.05
    surface = Surface(scene, WINDOW, np.ascontiguousarray(scene.photo.rgb[WINDOW.slices]), seed=1)
    drawn = surface.draw(edit_of(paint=np.full((48, 48, 3), 0.5, np.float32), opacity=np.ones((48, 48), np.float32)), 1.0)
    assert 0.004 < drawn[disc(8.0)].std() < 0.025
