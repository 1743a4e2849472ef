"""Who takes part in a comparison, and the images that each brings: data sets of the user, peers, and the oracle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process

from anomalyagent.errors import ConfigError, ImageError
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.foreground import find_foreground
from anomalyagent.training.evaluation.datasets import (
    Images,
    Labelled,
    Masks,
    Stack,
    choose,
    list_images,
    load_stack,
    read_harmless,
    read_labelled,
    read_real,
)
from anomalyagent.training.evaluation.peers import PEERS, Material

__all__ = ["ORACLE", "Contender", "Ground", "are_of_another_scene", "gather_contenders", "load_ground"]

ORACLE = "oracle"
_FEWEST_TO_COMPARE, _MOST_COMPARED = 4, 200


class Ground(NamedTuple):
    """What all contenders share: normal images to train with, real defects to look at (first third), the test set.

    Attributes:
        harmless: good photos with harmless differences, for contenders that bring none; None: they train without.
    """

    normals: Images
    few_shot: Stack
    test: Stack
    harmless: Images | None = None


@dataclass(frozen=True)
class Contender:
    """One that brings images.

    Attributes:
        bring: seed -> its anomaly images.
        few_shot: it has seen real defects of the item.
        harmless: good photos with harmless differences that its data set holds (`anomalyagent dataset harmless`); None
            without any.
    """

    name: str
    bring: Callable[[int], Stack]
    few_shot: bool = False
    harmless: Images | None = None


def load_ground(
    real: Path, skip_types: Sequence[str], size_px: int, harmless: Path | None = None, parts: Path | None = None
) -> Ground:
    """Decode a real data set.

    Args:
        parts: list of the parts that the images show (see `read_parts`).
        harmless: data set whose good photos with harmless differences are for all contenders that bring none.
    Raises:
        ImageError: it is in no known layout, has no good images or only empty masks, or a file cannot be decoded.
    """
    split = read_real(real, skip_types, parts)
    varied = None if harmless is None else _load_harmless(harmless, size_px)
    if harmless is not None and varied is None:
        raise ImageError(f"{harmless} has no good photos with harmless differences. Run: anomalyagent dataset harmless.")
    for part, files in (("training", split.train_good), ("test", [file for file in split.test if file.mask is None])):
        if not files:
            raise ImageError(f"{real} holds no good {part} images.")
    test = load_stack(split.test, size_px)
    if not test.masks.any():
        raise ImageError(f"no mask of {real} marks anything at {size_px} x {size_px} pixels: there is nothing to find.")
    few_shot = _with_masks(load_stack(split.few_shot, size_px))
    return Ground(load_stack(split.train_good, size_px).images, few_shot, test, varied)


def gather_contenders(
    ground: Ground,
    synthetic: Mapping[str, Path],
    peers: Sequence[str],
    count: int,
    *,
    oracle: bool,
    textures: Path | None = None,
) -> list[Contender]:
    """The oracle first, then the user's data sets, then the peers.

    Args:
        synthetic: name -> folder in MVTec layout.
        count: images of each contender; the oracle and smaller data sets bring what they have.
        textures: folder of foreign textures for the peers that want them.
    Raises:
        ConfigError: a peer is unknown, or a name is used twice.
        ImageError: a folder holds no images with masks.
    """
    for name in peers:
        if name not in PEERS:
            close = process.extractOne(name, list(PEERS))
            guess = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"unknown peer '{name}'{guess} Known: {', '.join(PEERS)}.")
    names = [*([ORACLE] if oracle else []), *synthetic, *peers]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"contenders need names of their own; used twice: {', '.join(repeated)}.")
    if not names:
        raise ConfigError("nothing to evaluate: give --synthetic NAME=DIR, --peers or --oracle.")
    size_px = ground.normals.shape[1]
    found: list[Contender] = []
    if oracle:
        if not len(ground.few_shot.images):
            raise ImageError("the oracle needs at least three real images of an anomaly type; leave it out with --no-oracle.")
        found.append(Contender(ORACLE, lambda _seed: ground.few_shot, few_shot=True))
    for name, folder in synthetic.items():
        harmless = _load_harmless(folder, size_px)
        found.append(_from_folder(name, read_labelled(folder), count, size_px, harmless))
    if peers:
        material = Material(
            ground.normals, _find_foregrounds(ground.normals), ground.few_shot, _load_textures(textures, size_px)
        )
        found += [_from_peer(name, material, count) for name in peers]
    return found


def are_of_another_scene(images: Images, normals: Images) -> bool:
    """Whether most images look like none of the normal ones: by colours on a very coarse grid, against how much those differ.

    Surfaces of about one grey cannot be told apart so.
    """
    if len(normals) < _FEWEST_TO_COMPARE:
        return False
    known = _coarse(normals)
    own = _distances(known, known)
    np.fill_diagonal(own, np.inf)
    usual = float(np.percentile(own.min(axis=1), 95))
    return float(np.median(_distances(_coarse(images), known).min(axis=1))) > 2.0 * usual + 1.0


def _coarse(images: Images) -> NDArray[np.float32]:
    """(n, 16 * 16 * 3) CIELAB of at most `_MOST_COMPARED` of the images."""
    some = np.unique(np.linspace(0, len(images) - 1, min(len(images), _MOST_COMPARED)).round().astype(int))
    small = [cv2.resize(images[i], (16, 16), interpolation=cv2.INTER_AREA) for i in some]
    return np.stack([lab_from_rgb(one.astype(np.float32) / 255.0).ravel() for one in small])


def _distances(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) mean differences in CIELAB."""
    return np.stack([np.abs(others - one).mean(axis=1) for one in some])


def _load_harmless(folder: Path, size_px: int) -> Images | None:
    files = read_harmless(folder)
    return load_stack(files, size_px).images if files else None


def _from_folder(name: str, files: list[Labelled], count: int, size_px: int, harmless: Images | None = None) -> Contender:
    def bring(seed: int) -> Stack:
        stack = _with_masks(load_stack(choose(files, count, seed), size_px))
        if not len(stack.images):
            raise ImageError(f"every mask of '{name}' is empty at {size_px} x {size_px} pixels.")
        return stack

    return Contender(name, bring, harmless=harmless)


def _with_masks(stack: Stack) -> Stack:
    """What can be learned from: a speck can vanish when the image is made smaller, and would teach that a defect is good."""
    seen = np.flatnonzero(stack.masks.any(axis=(1, 2))).tolist()
    return Stack(stack.images[seen], stack.masks[seen], [stack.types[index] for index in seen])


def _from_peer(name: str, material: Material, count: int) -> Contender:
    peer = PEERS[name]
    return Contender(name, lambda seed: peer.make(material, count, seed), peer.few_shot)


def _find_foregrounds(images: Images) -> Masks:
    return np.stack([find_foreground(image.astype(np.float32) / 255) for image in images])


def _load_textures(folder: Path | None, size_px: int) -> Images:
    files = [] if folder is None else [Labelled(path, None, "texture") for path in list_images(folder, deep=True)]
    return load_stack(files, size_px).images
