"""Twins painted by a diffusion model: what it is shown, and what of its picture is taken. On tiny models made on the spot."""

from pathlib import Path

import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.tiny_models import save_pipeline

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendUnavailableError
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.training.real.inpainting import make_inpainter
from anomalyagent.training.real.twins import Source, TwinMaker

SIDE = 128
PHOTO = photo_from_array(make_photo("surface", 3, SIDE))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("inpaint", "pix2pix"):
        save_pipeline(folder / kind, kind)
    return folder


def settings(model: Path) -> Settings:
    options = {"model": str(model), "steps": 2, "device": "cpu"}
    return Settings.model_validate({"tools": {"image_gen": {"backend": "diffusers", "options": options}}})


def hole(top: int, left: int, tall: int, wide: int) -> Mask:
    found = np.zeros((SIDE, SIDE), np.bool_)
    found[top : top + tall, left : left + wide] = True
    return found


@pytest.mark.parametrize("place", [(50, 60, 14, 20), (0, 0, 9, 30), (118, 100, 10, 28)])
def test_the_model_paints_the_hole_and_what_lies_far_from_it_stays(models: Path, place: tuple[int, int, int, int]) -> None:
    inpaint = make_inpainter(settings(models / "inpaint"))
    assert inpaint is not None
    where = hole(*place)
    made = inpaint(PHOTO.rgb, where, 5)
    assert made.shape == PHOTO.rgb.shape
    assert made.dtype == np.float32
    assert made.min() >= 0.0
    assert made.max() <= 1.0
    assert np.abs(made - PHOTO.rgb)[where].mean() > 0.02  # a random model paints noise
    rows, columns = np.ogrid[:SIDE, :SIDE]
    top, left, tall, wide = place
    room = max(32, tall, wide)
    far = (rows < top - room) | (rows >= top + tall + room) | (columns < left - room) | (columns >= left + wide + room)
    assert np.array_equal(made[far], PHOTO.rgb[far])
    assert np.array_equal(made, inpaint(PHOTO.rgb, where, 5))
    assert not np.array_equal(made, inpaint(PHOTO.rgb, where, 6))


def test_only_an_inpainting_model_paints_holes(models: Path) -> None:
    assert make_inpainter(Settings()) is None
    assert make_inpainter(settings(models / "pix2pix")) is None
    with pytest.raises(BackendUnavailableError, match="no-such-model"):
        make_inpainter(settings(models / "no-such-model"))


def test_a_painted_twin_is_judged_like_any_other_and_loses_when_it_is_noise(models: Path) -> None:
    inpaint = make_inpainter(settings(models / "inpaint"))
    assert inpaint is not None
    where = hole(52, 52, 16, 16)
    material = [Source(photo_from_array(make_photo("surface", seed, SIDE)).rgb) for seed in range(3, 8)]
    defect = PHOTO.edited(PHOTO.rgb * np.float32(0.3), where)
    ways = list(TwinMaker(material, inpaint)._ways(defect.rgb, where, material, 3, 1))  # pyright: ignore[reportPrivateUsage]
    assert ways[0][0] == "inpainting model"
    assert np.array_equal(ways[0][1][~where], defect.rgb[~where])
    painted = TwinMaker(material, inpaint).make(defect, where, 1)
    assert painted is not None
    assert painted.way.endswith("from photos")
