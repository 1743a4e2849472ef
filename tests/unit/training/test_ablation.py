"""Variants of the engine with one part switched off."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo, make_photos

from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import scene_of
from anomalyagent.training.evaluation.ablation import VARIANTS, ablate, make_variant
from anomalyagent.training.evaluation.compare import Comparison
from anomalyagent.training.evaluation.localize import FAST


@pytest.fixture(scope="module")
def normals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("normals"), "surface", 3, 96)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def make(variant: str, normals: Path, work: Path) -> Path | None:
    return make_variant(variant, "steel plate", [normals], 6, work, lambda _text: None)


def test_loose_masks_hold_the_tight_ones_and_the_images_stay(normals: Path, work: Path) -> None:
    tight, loose = make("all", normals, work), make("loose-masks", normals, work)
    assert tight is not None
    assert loose is not None
    masks = sorted((tight / "ground_truth").glob("*/*.png"))
    assert masks
    wider = 0
    for path in masks:
        small = cv2.imread(str(path), 0)
        large = cv2.imread(str(loose / path.relative_to(tight)), 0)
        assert small is not None
        assert large is not None
        assert (large[small > 0] > 0).all()
        wider += int(np.count_nonzero(large) > np.count_nonzero(small))
    assert wider == len(masks)
    image = next((tight / "test").glob("*/*.png"))
    assert image.read_bytes() == (loose / image.relative_to(tight)).read_bytes()


def test_loose_masks_grow_with_the_data_set_that_they_are_made_of(normals: Path, tmp_path: Path) -> None:
    """A larger `--count` was compared with the few loose masks of the smaller one."""
    for count in (6, 12):
        tight, loose = (
            make_variant(variant, "steel plate", [normals], count, tmp_path, lambda _text: None)
            for variant in ("all", "loose-masks")
        )
        assert tight is not None
        assert loose is not None
        shown = [{path.relative_to(folder) for path in folder.glob("*/*/*.png")} for folder in (tight, loose)]
        assert shown[0] == shown[1]


def test_a_family_switched_off_draws_nothing_and_its_own_types_are_left_out(normals: Path, work: Path) -> None:
    folder = make("no-lines", normals, work)
    assert folder is not None
    types = {path.name for path in (folder / "test").iterdir()} - {"good"}
    assert types
    assert not types & {"scratches", "crazing"}
    assert not any(word in (folder / "manifest.jsonl").read_text("utf-8") for word in ('"scratch"', '"crack"'))


def test_a_family_that_the_item_does_not_use_is_no_variant(normals: Path, work: Path) -> None:
    said: list[str] = []
    assert make_variant("no-structure", "steel plate", [normals], 6, work, said.append) is None
    assert "none of these" in said[0]


def test_without_placement_defects_also_lie_beside_the_object() -> None:
    photo = photo_from_array(make_photo("part", 0, 128))
    ground = ~scene_of(photo).foreground
    spec = DefectSpec(mechanism="stain", zone="center", area_fraction=0.02, severity=10.0)
    known, anywhere = ProceduralImageGen(), ProceduralImageGen({"placement": "anywhere"})
    assert not any((known.edit(photo, "", spec, seed).changed & ground).sum() > 8 for seed in range(5))
    assert any((anywhere.edit(photo, "", spec, seed).changed & ground).sum() > 30 for seed in range(5))
    with pytest.raises(ConfigError, match="known or anywhere"):
        ProceduralImageGen({"placement": "left"})


def test_an_unknown_variant_is_refused_with_the_known_ones(normals: Path, work: Path) -> None:
    comparison = Comparison(normals, {}, [], False, 1, 6, FAST, work / "table.md", work)
    with pytest.raises(ConfigError, match="no-placement"):
        ablate(comparison, "steel plate", [normals], ["no-magic"], lambda _text: None)
    assert len(VARIANTS) == 9
