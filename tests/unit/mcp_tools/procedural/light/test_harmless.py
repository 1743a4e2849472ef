"""Harmless differences of a good photo: soft, on the object alone, and nothing of its texture lost."""

import cv2
import numpy as np
from helpers.photos import make_photo

from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.light.harmless import vary_harmlessly


def varied(photo: Photo, seed: int) -> tuple[Scene, Photo]:
    scene = Scene(photo)
    return scene, vary_harmlessly(scene, np.random.default_rng(seed))


def test_the_spots_lie_on_the_object_and_everything_else_stays() -> None:
    for seed in range(8):
        scene, after = varied(photo_from_array(make_photo("part", seed, 160)), seed)
        changed = (after.native != scene.photo.native).any(axis=-1)
        assert changed.any()
        assert not (changed & ~scene.foreground).any()


def test_nothing_in_the_change_has_an_edge() -> None:
    flat = photo_from_array(np.full((256, 256, 3), 90, np.uint8))
    for seed in range(12):
        _, after = varied(flat, seed)
        change = cv2.GaussianBlur(after.rgb - flat.rgb, (0, 0), 2.0)  # without the dither
        steepest = max(float(np.abs(np.diff(change, axis=axis)).max()) for axis in (0, 1))
        assert 0.004 < np.abs(change).max() < 0.25
        assert steepest < 0.2 * np.abs(change).max()  # in a pixel; an edge has twice as much after this blur


def test_the_texture_stays_under_the_light() -> None:
    photo = photo_from_array(make_photo("surface", 0, 160))
    _, after = varied(photo, 1)
    fine = [one.rgb - cv2.GaussianBlur(one.rgb, (0, 0), 1.5) for one in (photo, after)]
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.9


def test_grey_photos_stay_grey_and_deep_ones_deep() -> None:
    grey = np.random.default_rng(0).integers(90, 110, (96, 96)).astype(np.uint8)
    for native in (grey, grey.astype(np.uint16) * 200, np.repeat(grey[..., None], 3, axis=2)):
        _, after = varied(photo_from_array(native), 3)
        assert after.native.dtype == native.dtype
        assert after.native.shape == native.shape
        assert after.is_grey
        assert (after.native != native).any()


def test_the_same_seed_gives_the_same_photo_and_another_another() -> None:
    photo = photo_from_array(make_photo("part", 0, 96))
    first, again, other = (varied(photo, seed)[1].native for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()
