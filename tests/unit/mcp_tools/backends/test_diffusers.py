"""image_gen backend `diffusers`: where it paints, what it takes of a model's picture, and what it does with bad ones."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.tiny_models import save_lora
from helpers.tiny_pipelines import save_large_family
from PIL import Image

from anomalyagent.errors import BackendError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends import diffusers as module
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.backends.diffusers import DiffusersImageGen
from anomalyagent.mcp_tools.backends.pipelines import DiffusersOptions, Family, Pipeline, load_pipeline
from anomalyagent.mcp_tools.backends.whole_frame import measure_for_edit, take_edit
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.imaging.scene import scene_of

SPEC = DefectSpec(mechanism="stain", center=(0.25, 0.5), area_fraction=0.02, severity=9.0)


def part(size: int = 128, seed: int = 1) -> Photo:
    return photo_from_array(make_photo("part", seed, size))


class Painter:
    """In place of a diffusers pipeline: a function of the picture that it is given."""

    def __init__(self, paint: Callable[[Any], Any], refused: bool = False) -> None:
        self.paint, self.refused = paint, refused
        self.asked: list[dict[str, Any]] = []

    def __call__(
        self, prompt: str, image: Image.Image, generator: Any, output_type: str, mask_image: Image.Image | None = None
    ) -> SimpleNamespace:
        self.asked.append({"prompt": prompt, "size": image.size, "mask": mask_image})
        made = self.paint(np.asarray(image, np.float32) / 255.0)
        return SimpleNamespace(images=made[None], nsfw_content_detected=[self.refused])


def with_painter(
    monkeypatch: pytest.MonkeyPatch, models: Path, painter: Painter, family: Family = "edit", **options: Any
) -> DiffusersImageGen:
    pipeline = Pipeline(painter, family, 128, 8, {})

    def load(_: DiffusersOptions) -> Pipeline:
        return pipeline

    monkeypatch.setattr(module, "load_pipeline", load)
    return DiffusersImageGen({"model": str(models / "inpaint"), **options})


@pytest.mark.parametrize(("kind", "family"), [("inpaint", "inpaint"), ("pix2pix", "edit"), ("text2image", "inpaint")])
def test_the_family_and_the_size_are_read_off_the_model(kind: str, family: str, models: Path) -> None:
    loaded = load_pipeline(DiffusersOptions(model=str(models / kind)))
    assert (loaded.family, loaded.native_px) == (family, 64)


def test_inpainting_changes_only_the_region_of_the_spec(models: Path) -> None:
    photo = part()
    edited = DiffusersImageGen({"model": str(models / "inpaint"), "steps": 2}).edit(photo, "a stain", SPEC, 4)
    rows, columns = np.nonzero(edited.changed)
    # the part spans about 0.1 .. 0.9 of the photo, so a quarter of its box lies near 0.3
    assert abs(float(columns.mean()) / 128 - 0.3) < 0.08
    assert abs(float(rows.mean()) / 128 - 0.5) < 0.08
    assert edited.changed.mean() < 0.1


def test_lora_weights_change_the_picture(models: Path, tmp_path: Path) -> None:
    lora = save_lora(tmp_path, models / "inpaint")

    def draw(**options: Any) -> Photo:
        return DiffusersImageGen({"model": str(models / "inpaint"), "steps": 2, **options}).edit(part(), "x", SPEC, 4).photo

    plain, off, on = draw(), draw(lora=[{"model": str(lora), "scale": 0.0}]), draw(lora=[str(lora)])
    assert plain.sha256 == off.sha256 != on.sha256


@pytest.mark.parametrize("family", ["edit", "inpaint"])
def test_a_model_that_changes_nothing_is_an_error(family: Family, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = with_painter(monkeypatch, models, Painter(lambda rgb: rgb), family)
    with pytest.raises(BackendError, match=r"\(seed 4\) changed nothing that can be seen. Try another seed"):
        backend.edit(part(), "a stain", SPEC, 4)


@pytest.mark.parametrize(
    ("painter", "said"),
    [
        (Painter(lambda rgb: rgb * np.nan), "not all numbers finite.*bfloat16 or float32"),
        (Painter(lambda rgb: rgb * 0, refused=True), "safety checker"),
        (Painter(lambda rgb: rgb.reshape(-1)[:3].reshape(2, 2)), "Painter failed: cannot reshape"),
    ],
)
def test_a_bad_picture_is_an_error_that_says_why(
    painter: Painter, said: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendError, match=said):
        with_painter(monkeypatch, models, painter).edit(part(), "a stain", None, 4)


def test_an_editor_that_recolours_resizes_and_shifts_the_photo_gives_only_its_defect(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = photo_from_array(make_photo("part", 3, 160))
    disc = np.zeros((128, 128), np.uint8)
    cv2.circle(disc, (45, 64), 8, 1, -1)

    def paint(rgb: Any) -> Any:
        drawn = np.where(disc[..., None] > 0, rgb * 0.3, rgb)
        shifted = cv2.warpAffine(
            drawn, np.array([[1, 0, 1.5], [0, 1, -1.0]], np.float32), (128, 128), borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.resize(0.95 * shifted + 0.02, (144, 144), interpolation=cv2.INTER_CUBIC)

    edited = with_painter(monkeypatch, models, Painter(paint)).edit(photo, "a stain", None, 4)
    where = cv2.resize(disc, (160, 160), interpolation=cv2.INTER_NEAREST) > 0
    near = cv2.dilate(where.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0  # the editor's pixels are larger than the photo's
    assert (edited.changed & where).sum() > 0.95 * where.sum()
    assert (edited.changed & ~near).sum() < 0.05 * where.sum()
    assert np.array_equal(edited.photo.native[~edited.changed], photo.native[~edited.changed])


def test_the_models_drift_of_colour_is_taken_off_what_it_paints(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = with_painter(monkeypatch, models, Painter(lambda rgb: rgb + 0.05), "inpaint")
    with pytest.raises(BackendError, match="changed nothing that can be seen"):
        backend.edit(part(), "a stain", SPEC, 4)


def test_the_model_is_told_the_prompt_in_the_users_words_at_its_own_size(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = Painter(lambda rgb: rgb * 0.5)
    words = "macro photo of a {mechanism}. {prompt}"
    backend = with_painter(monkeypatch, models, painter, "inpaint", prompt_template=words)
    wide = photo_from_array(np.ascontiguousarray(make_photo("part", 1, 256)[60:190]))
    edited = backend.edit(wide, "Add a stain.", SPEC, 4)
    asked = painter.asked[0]
    assert asked["prompt"] == "macro photo of a stain. Add a stain."
    assert all(side % 8 == 0 for side in asked["size"])
    assert 0.8 < asked["size"][0] * asked["size"][1] / 128**2 < 1.2
    assert asked["mask"].size == asked["size"]
    assert set(np.unique(np.asarray(asked["mask"]))) == {0, 255}
    assert edited.spec == SPEC.model_copy(update={"seed": 4})


@pytest.mark.parametrize(
    ("name", "family", "batch"),
    [("sdxl-inpaint", "inpaint", 2), ("flux-fill", "inpaint", 2), ("flux-kontext", "edit", 2), ("qwen-image-edit", "edit", 1)],
)
def test_the_large_families_are_found_and_called_at_the_size_that_is_asked_for(
    name: str, family: str, batch: int, tmp_path: Path
) -> None:
    folder = save_large_family(tmp_path / name, name)
    options = {"steps": 2 if family == "inpaint" else 1, "size_px": 64, "most_changed": 1.0, "batch": batch}
    pipeline = load_pipeline(DiffusersOptions.model_validate({"model": str(folder), **options}))
    assert (pipeline.family, pipeline.native_px) == (family, 64)
    mask = np.ones((64, 64), bool) if family == "inpaint" else None
    pictures = pipeline.paint("a dark stain", part(64).rgb, mask, 5)
    assert [picture.shape for picture in pictures] == [(64, 64, 3)] * batch
    assert all(np.isfinite(picture).all() for picture in pictures)
    assert batch == 1 or not np.array_equal(pictures[0], pictures[1])


def test_of_a_batch_the_edit_of_the_wanted_size_is_taken(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = iter((4, 26, 14))

    class Batch(Painter):
        def __call__(self, *args: Any, num_images_per_prompt: int = 1, **given: Any) -> SimpleNamespace:
            image = np.asarray(given["image"], np.float32) / 255.0
            made = [np.array(image) for _ in range(num_images_per_prompt)]
            for one, side in zip(made, sides, strict=True):
                one[40 : 40 + side, 30 : 30 + side] *= 0.3
            assert len(given["generator"]) == num_images_per_prompt
            return SimpleNamespace(images=np.stack(made))

    pipeline = Pipeline(Batch(lambda rgb: rgb), "edit", 128, 8, {}, batch=3)

    def load(_: DiffusersOptions) -> Pipeline:
        return pipeline

    monkeypatch.setattr(module, "load_pipeline", load)
    photo = part()
    wanted = SPEC.model_copy(update={"area_fraction": 14 * 14 / scene_of(photo).object_area_px})
    edited = DiffusersImageGen({"model": str(models / "inpaint"), "batch": 3}).edit(photo, "a stain", wanted, 4)
    assert abs(edited.changed.sum() - 14 * 14) < 60


def test_while_the_model_works_the_photo_is_measured(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = threading.Event()

    def measure(photo: Photo) -> None:
        measure_for_edit(photo)
        measured.set()

    def paint(rgb: Any) -> Any:
        assert measured.wait(240)
        return np.where(np.indices(rgb.shape)[1] > 64, rgb, 0.4 * rgb)

    monkeypatch.setattr(module, "measure_for_edit", measure)
    assert with_painter(monkeypatch, models, Painter(paint), most_changed=1.0).edit(part(), "a stain", None, 4).changed.any()


def test_the_model_paints_the_next_picture_while_the_last_one_is_brought_back(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted, both = list[int](), threading.Event()

    def paint(rgb: Any) -> Any:
        painted.append(1)
        if len(painted) == 2:
            both.set()
        return darkened(rgb)

    def take(*given: Any) -> Edited:
        assert both.wait(timeout=240)  # both pictures are painted before the first is brought back
        return take_edit(*given)

    def darkened(rgb: Any) -> Any:
        made = rgb.copy()
        made[40:60, 30:50] *= 0.3
        return made

    alone = with_painter(monkeypatch, models, Painter(darkened)).edit
    wanted = [alone(part(seed=seed), "a stain", None, seed).photo.sha256 for seed in (1, 2)]
    monkeypatch.setattr(module, "take_edit", take)
    backend = with_painter(monkeypatch, models, Painter(paint))
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(backend.edit, part(seed=seed), "a stain", None, seed) for seed in (1, 2)]
        assert [one.result().photo.sha256 for one in found] == wanted


def test_what_the_photo_tells_is_the_same_whether_it_was_measured_before_or_not() -> None:
    edited = part().rgb.copy()
    edited[40:60, 30:50] *= 0.3
    first = take_edit(part(), None, edited, None, "x").photo
    again = photo_from_array(np.array(part().native))
    measure_for_edit(again)
    assert take_edit(again, None, edited, None, "x").photo.sha256 == first.sha256
