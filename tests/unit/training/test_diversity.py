"""IS and IC-LPIPS: the same figures as torch-fidelity and lpips give by themselves, on the same random weights."""

from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.photos import make_photo
from helpers.weights import save_inception, save_vgg16
from numpy.typing import NDArray
from PIL import Image

from anomalyagent.errors import BackendError
from anomalyagent.training.evaluation.diversity import InceptionScorer, Perceptual, as_sides

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries


def photos(count: int, size: int = 256) -> NDArray[np.uint8]:
    """Photos that differ a lot: of both kinds, some turned, some coloured."""
    made: list[NDArray[np.uint8]] = []
    for number in range(count):
        photo = make_photo("part" if number % 2 else "surface", number // 3, size)
        photo = np.roll(photo[::-1] if number % 3 else photo, number % 3, axis=2)
        photo[8 * number : 8 * number + 40] = 255 - photo[8 * number : 8 * number + 40]
        made.append(photo)
    return np.stack(made)


def test_inception_score_is_torch_fidelitys_own(tmp_path: Path) -> None:
    weights = save_inception(tmp_path / "inception.pth")
    images = photos(20)
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:02d}.png"), image[..., ::-1])
    library: Any = import_module("torch_fidelity")
    theirs = library.calculate_metrics(
        input1=str(folder),
        isc=True,
        cuda=False,
        batch_size=8,
        verbose=False,
        save_cpu_ram=True,
        cache=False,
        feature_extractor_weights_path=str(weights),
    )["inception_score_mean"]
    assert theirs > 1.01  # the figure depends on the images
    assert InceptionScorer(weights).score(images) == pytest.approx(theirs, abs=1e-4)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vgg16(tmp_path_factory.mktemp("weights") / "vgg16.pth")


def lpips_own(vgg: Path) -> Any:
    """The lpips package's own network with these weights in its trunk."""
    library: Any = import_module("lpips")
    model = library.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    trunk = torch.load(vgg, weights_only=True)
    state = {name: trunk[f"features.{name.split('.', 1)[1]}"] for name in model.net.state_dict()}
    model.net.load_state_dict(state)
    return model.eval()


def as_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


@torch.no_grad()
def test_distances_and_clusters_are_those_of_lpips_itself(vgg: Path) -> None:
    images, references = photos(5, 64), photos(8, 64)[[1, 6]]
    theirs = lpips_own(vgg)
    ours = Perceptual(vgg)
    between = {(i, j): float(theirs(as_tensor(images[i]), as_tensor(images[j]))) for i in range(len(images)) for j in range(i)}
    assert max(between.values()) - min(between.values()) > 0.01
    features = [ours.features(image) for image in images]
    for (i, j), value in between.items():
        assert ours.distance(features[i], features[j]) == pytest.approx(value, abs=1e-4)

    # the protocol by hand, with lpips alone
    nearest = [int(np.argmin([float(theirs(as_tensor(ref), as_tensor(image))) for ref in references])) for image in images]
    clusters = [[i for i, place in enumerate(nearest) if place == k] for k in range(len(references))]
    means = [np.mean([between[max(i, j), min(i, j)] for i in one for j in one if i < j]) for one in clusters if len(one) > 1]
    found = ours.cluster(images, references)
    assert found.sizes == [len(one) for one in clusters]
    assert found.value == pytest.approx(float(np.mean(means)), abs=1e-4)


def test_a_large_cluster_is_sampled_and_one_of_a_single_image_counts_nothing(vgg: Path) -> None:
    ours = Perceptual(vgg)
    images = photos(4, 32)
    assert ours.cluster(images[:1], images[1:2]).value is None
    same = np.stack([images[0]] * 4)
    found = ours.cluster(same, images[:1], most=2)
    assert found.sizes == [4]
    assert found.value == pytest.approx(0.0, abs=1e-6)


def test_images_are_made_256_px_as_torchvision_does_it() -> None:
    transforms: Any = import_module("torchvision.transforms")
    photo = make_photo("part", 3, 150)
    theirs = np.asarray(transforms.Resize([256, 256])(Image.fromarray(photo)))
    assert np.array_equal(as_sides(photo), theirs)


def test_files_of_other_networks_are_refused_by_name(vgg: Path, tmp_path: Path) -> None:
    torch.save({"hello": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BackendError, match=r"other\.pth holds no weights of a VGG16"):
        Perceptual(tmp_path / "other.pth")
    with pytest.raises(BackendError, match=r"vgg16\.pth holds no weights of Inception v3"):
        InceptionScorer(vgg)
