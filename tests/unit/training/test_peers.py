"""Published recipes: what must hold of every one, and what is particular to each."""

import numpy as np
import pytest
from helpers.defects import make_defect
from helpers.photos import make_photo

from anomalyagent.errors import BackendError, ImageError
from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers import PEERS, Material
from anomalyagent.training.evaluation.peers.augment import augment
from anomalyagent.training.evaluation.peers.base import make_each
from anomalyagent.training.evaluation.peers.perlin_noise import perlin_noise

SIZE = 64
COUNT = 12


def make_material(textures: int = 0) -> Material:
    defects = [make_defect(seed, SIZE, radius=5) for seed in range(3)]
    y, x = np.mgrid[0:SIZE, 0:SIZE] - SIZE // 2
    return Material(
        normals=np.stack([make_photo("part", seed, SIZE) for seed in range(5)]),
        foregrounds=np.repeat((np.hypot(x, y) < 0.4 * SIZE)[None], 5, axis=0),
        few_shot=Stack(np.stack([d[0] for d in defects]), np.stack([d[1] > 0 for d in defects]), ["spot"] * 3),
        textures=np.random.default_rng(0).integers(0, 256, (textures, SIZE, SIZE, 3)).astype(np.uint8),
    )


MATERIAL = make_material()


def differences(stack: Stack) -> list[np.ndarray]:
    """(S, S) mean absolute difference of each image from the normal image that it was made of."""
    found = np.abs(stack.images[:, None].astype(np.int16) - MATERIAL.normals[None]).mean(axis=-1)
    nearest = (found > 1).mean(axis=(2, 3)).argmin(axis=1)
    return [found[number, normal] for number, normal in enumerate(nearest.tolist())]


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_makes_as_many_images_as_asked_each_with_a_mask(name: str) -> None:
    made = PEERS[name].make(MATERIAL, COUNT, 0)
    assert made.images.shape == (COUNT, SIZE, SIZE, 3)
    assert made.images.dtype == np.uint8
    assert made.masks.shape == (COUNT, SIZE, SIZE)
    assert made.masks.dtype == np.bool_
    assert made.masks.any(axis=(1, 2)).all()
    assert len(made.types) == COUNT


@pytest.mark.parametrize("name", PEERS)
def test_the_same_seed_makes_the_same_images_and_another_seed_others(name: str) -> None:
    first, again, other = (PEERS[name].make(MATERIAL, 4, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("name", PEERS)
def test_more_images_begin_with_the_same_ones(name: str) -> None:
    assert np.array_equal(PEERS[name].make(MATERIAL, 6, 0).images[:3], PEERS[name].make(MATERIAL, 3, 0).images)


@pytest.mark.parametrize("name", sorted(set(PEERS) - {"nsa"}))
def test_nothing_changes_outside_the_mask(name: str) -> None:
    made = PEERS[name].make(MATERIAL, COUNT, 1)
    for difference, mask in zip(differences(made), made.masks, strict=True):
        assert not difference[~mask].any()
        assert difference[mask].any()


def test_the_mask_of_nsa_is_what_really_changed_but_for_specks() -> None:
    made = PEERS["nsa"].make(MATERIAL, COUNT, 1)
    for difference, mask in zip(differences(made), made.masks, strict=True):
        assert float((difference[mask] > 1).mean()) > 0.8
        assert float((difference[~mask] > 1).mean()) < 0.03


def test_memseg_stays_on_the_object() -> None:
    made = PEERS["memseg"].make(MATERIAL, COUNT, 2)
    assert not made.masks[:, ~MATERIAL.foregrounds[0]].any()


def test_cutpaste_makes_patches_of_the_published_size_and_small_scars() -> None:
    areas = PEERS["cutpaste"].make(MATERIAL, 80, 0).masks.mean(axis=(1, 2))
    patches = areas[areas > 0.012]
    assert 25 <= len(patches) <= 55
    assert patches.min() > 0.017
    assert patches.max() < 0.16


def test_croppaste_pastes_pixels_of_the_real_defects() -> None:
    made = PEERS["croppaste"].make(MATERIAL, COUNT, 0)
    real = {tuple(pixel) for pixel in MATERIAL.few_shot.images[MATERIAL.few_shot.masks].tolist()}
    assert {tuple(pixel) for pixel in made.images[made.masks].tolist()} <= real


def test_croppaste_without_real_defects_says_what_it_needs() -> None:
    nothing = Stack(np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros((0, SIZE, SIZE), np.bool_), [])
    with pytest.raises(ImageError, match="needs real defects"):
        PEERS["croppaste"].make(MATERIAL._replace(few_shot=nothing), 1, 0)


def test_only_croppaste_has_seen_real_defects() -> None:
    assert [name for name, peer in PEERS.items() if peer.few_shot] == ["croppaste"]


@pytest.mark.parametrize("name", ["draem", "memseg"])
def test_textures_of_the_user_are_used_instead_of_drawn_ones(name: str) -> None:
    drawn, given = (PEERS[name].make(material, 4, 0) for material in (MATERIAL, make_material(textures=2)))
    assert not np.array_equal(drawn.images, given.images)


def test_perlin_noise_vanishes_on_its_lattice_and_stays_within_one() -> None:
    noise = perlin_noise(64, (4, 8), np.random.default_rng(0))
    assert noise.shape == (64, 64)
    assert np.abs(noise[::16, ::8]).max() < 1e-6
    assert 0.3 < np.abs(noise).max() <= 1.0


def test_every_augmentation_keeps_size_and_type() -> None:
    image = make_photo("surface", 0, 32)
    for seed in range(40):
        changed = augment(image, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8


def test_a_recipe_that_makes_nothing_is_given_up() -> None:
    with pytest.raises(BackendError, match="made nothing"):
        make_each("empty", MATERIAL, 1, 0, lambda index, _rng: (MATERIAL.normals[index], np.zeros((SIZE, SIZE), np.bool_)))
