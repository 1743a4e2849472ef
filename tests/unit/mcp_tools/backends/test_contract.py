"""What every backend of image_gen and mask_gen must keep, on every kind of photo."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.services import Asked, Reply, Service, gemini_picture, openai_picture, picture_sent, png
from numpy.typing import NDArray

from anomalyagent.configs.schema import Settings, ToolSettings, ToolsSettings
from anomalyagent.errors import ToolInputError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited, ImageGenBackend, MaskGenBackend
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.registry import BACKENDS, create_backend

SPEC = DefectSpec(mechanism="stain", area_fraction=0.04, severity=9.0)
PROMPT = "Add a dark stain in the middle of the part. Keep everything else unchanged."

# name of the case -> backend and its options, given the folder of tiny models, or the address of a local editor
Case = tuple[str, Callable[[Path], dict[str, Any]]]
SEEDLESS = {"openai"}
IMAGE_GEN: dict[str, Case] = {
    "procedural": ("procedural", lambda _: {}),
    "diffusers-inpaint": ("diffusers", lambda folder: {"model": str(folder / "inpaint"), "steps": 2}),
    "diffusers-edit": ("diffusers", lambda folder: {"model": str(folder / "pix2pix"), "steps": 2, "most_changed": 1.0}),
    "diffusers-text2image": ("diffusers", lambda folder: {"model": str(folder / "text2image"), "steps": 3, "strength": 0.8}),
    "openai": ("openai", lambda _: {"model": "editor", "sizes": ["96x96", "144x96"]}),
    "gemini": ("gemini", lambda _: {"model": "editor", "image_size": "512"}),
}
MASK_GEN: dict[str, Case] = {
    "change": ("change", lambda _: {}),
    "sam": ("sam", lambda folder: {"checkpoint": str(folder / "sam.pth"), "mode": "sam"}),
    "sam2": ("sam2", lambda folder: {"model": str(folder / "sam2"), "mode": "sam"}),
    "sam2-hybrid": ("sam2", lambda folder: {"model": str(folder / "sam2"), "mode": "hybrid"}),
    "sam3": ("sam2", lambda folder: {"model": str(folder / "sam3"), "mode": "sam"}),
    "sam-hybrid": ("sam", lambda folder: {"checkpoint": str(folder / "sam.pth"), "mode": "hybrid"}),
}


def photo_of(kind: str, size: int = 96) -> Photo:
    rgb = make_photo("part", seed=1, size=size)
    grey: NDArray[Any] = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    alpha = np.full(grey.shape, 200, np.uint8)
    natives: dict[str, NDArray[Any]] = {
        "grey": grey,
        "rgb": rgb,
        "grey16": grey.astype(np.uint16) * 16,
        "alpha": np.dstack([rgb, alpha]),
        "wide": np.ascontiguousarray(rgb[10:80]),
    }
    return photo_from_array(natives[kind])


@pytest.fixture(scope="module")
def hosted() -> Iterator[Service]:
    """A local editor that answers as the hosted ones do: it paints a dark disc whose place comes from the seed it is sent."""

    def paint(asked: Asked) -> Reply:
        rgb = picture_sent(asked)
        height, width = rgb.shape[:2]
        to_gemini = "generateContent" in asked.path
        seed = asked.fields["generationConfig"]["seed"] if to_gemini else 0
        middle = round((0.3 + 0.05 * (seed % 4)) * width), height // 2
        cv2.circle(rgb, middle, round(0.1 * min(height, width)), (0.05, 0.04, 0.04), -1)
        return gemini_picture(png(rgb)) if to_gemini else openai_picture(png(rgb))

    with Service([paint]) as service:
        yield service


@pytest.fixture(scope="module")
def image_backends(models: Path, hosted: Service) -> Callable[[str], ImageGenBackend]:
    made: dict[str, ImageGenBackend] = {}

    def get(case: str) -> ImageGenBackend:
        if case not in made:
            name, options = IMAGE_GEN[case]
            given = options(models)
            if BACKENDS["image_gen"][name].extra == "api":
                given["base_url"] = hosted.url
            tools = ToolsSettings(image_gen=ToolSettings(backend=name, options=given))
            made[case] = create_backend("image_gen", Settings(tools=tools))
        return made[case]

    return get


@pytest.fixture(scope="module")
def mask_backends(models: Path) -> Callable[[str], MaskGenBackend]:
    made: dict[str, MaskGenBackend] = {}

    def get(case: str) -> MaskGenBackend:
        if case not in made:
            name, options = MASK_GEN[case]
            tools = ToolsSettings(mask_gen=ToolSettings(backend=name, options=options(models)))
            made[case] = create_backend("mask_gen", Settings(tools=tools))
        return made[case]

    return get


def with_stain(photo: Photo) -> tuple[Photo, Any]:
    where = np.zeros(photo.shape, np.uint8)
    cv2.ellipse(where, (30, 40), (12, 7), 30, 0, 360, 1, -1)
    drawn = photo.edited(photo.rgb * 0.4, where.astype(bool))
    return drawn, where.astype(bool)


def test_every_shipped_backend_has_a_case_here() -> None:
    assert {name for name, _ in IMAGE_GEN.values()} == set(BACKENDS["image_gen"])
    assert {name for name, _ in MASK_GEN.values()} == set(BACKENDS["mask_gen"])


@pytest.mark.parametrize("kind", ["grey", "rgb", "grey16", "alpha", "wide"])
@pytest.mark.parametrize("case", IMAGE_GEN)
def test_an_edit_keeps_size_and_mode_and_every_pixel_outside(
    case: str, kind: str, image_backends: Callable[[str], ImageGenBackend]
) -> None:
    photo = photo_of(kind)
    edited = image_backends(case).edit(photo, PROMPT, SPEC, seed=5)
    after = edited.photo
    assert (after.native.shape, after.native.dtype, after.mode, after.scale) == (
        photo.native.shape,
        photo.native.dtype,
        photo.mode,
        photo.scale,
    )
    assert (edited.changed.shape, edited.changed.dtype) == (photo.shape, np.dtype(bool))
    assert edited.changed.any()
    assert np.array_equal(after.native[~edited.changed], photo.native[~edited.changed])
    assert np.array_equal(mask_of_change(photo, after), edited.changed)
    if kind == "alpha":
        assert np.array_equal(after.native[..., 3], photo.native[..., 3])
    assert edited.cost_usd >= 0
    assert edited.spec is not None
    assert edited.spec.seed == 5


@pytest.mark.parametrize("case", IMAGE_GEN)
def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(
    case: str, image_backends: Callable[[str], ImageGenBackend]
) -> None:
    def draw(seed: int) -> Edited:
        return image_backends(case).edit(photo_of("rgb"), PROMPT, SPEC, seed)

    first, again, other = draw(7), draw(7), draw(8)
    assert np.array_equal(first.photo.native, again.photo.native)
    assert first.photo.sha256 == again.photo.sha256
    assert (other.photo.sha256 == first.photo.sha256) == (case in SEEDLESS)
    assert any("takes no seed" in note for note in first.notes) == (case in SEEDLESS)


@pytest.mark.parametrize("case", IMAGE_GEN)
def test_a_prompt_is_enough(case: str, image_backends: Callable[[str], ImageGenBackend]) -> None:
    photo = photo_of("rgb")
    edited = image_backends(case).edit(photo, PROMPT, None, seed=2)
    assert edited.changed.any()
    assert np.array_equal(edited.photo.native[~edited.changed], photo.native[~edited.changed])


@pytest.mark.parametrize("kind", ["grey", "rgb", "grey16", "alpha", "wide"])
@pytest.mark.parametrize("case", MASK_GEN)
def test_a_mask_has_the_photos_size_and_stays_near_what_changed(
    case: str, kind: str, mask_backends: Callable[[str], MaskGenBackend]
) -> None:
    photo = photo_of(kind)
    anomaly, where = with_stain(photo)
    found = mask_backends(case).segment(photo, anomaly)
    assert (found.mask.shape, found.mask.dtype) == (photo.shape, np.dtype(bool))
    assert found.mask.any()
    near = cv2.dilate(where.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    assert not (found.mask & ~near).any()
    assert 0.0 <= found.confidence <= 1.0
    again = mask_backends(case).segment(photo, anomaly)
    assert np.array_equal(found.mask, again.mask)
    assert found.confidence == again.confidence


@pytest.mark.parametrize("case", MASK_GEN)
def test_nothing_changed_is_an_empty_mask(case: str, mask_backends: Callable[[str], MaskGenBackend]) -> None:
    photo = photo_of("rgb")
    found = mask_backends(case).segment(photo, photo)
    assert not found.mask.any()
    assert found.confidence == 1.0


@pytest.mark.parametrize("case", MASK_GEN)
def test_photos_of_different_sizes_are_refused(case: str, mask_backends: Callable[[str], MaskGenBackend]) -> None:
    with pytest.raises(ToolInputError, match="different sizes"):
        mask_backends(case).segment(photo_of("rgb"), photo_of("wide"))
