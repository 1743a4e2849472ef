"""Quality and diversity of generated images: Inception Score (IS) and intra-cluster LPIPS (IC-LPIPS), for one anomaly type.

    IS         exp of the mean KL divergence of each image's classes from those of all, mean over 10 splits; torch-fidelity
               works it out (Salimans 2016)
    IC-LPIPS   each image joins the reference (a real defect of the first third) that is nearest by LPIPS-VGG; the mean
               pairwise LPIPS inside each cluster, at most 50 images, averaged over the clusters of two and more; the lpips
               package gives networks and distances (Ojha 2021, Zhang 2018)

Images are 256 x 256. LPIPS of two images is worked out of features that each image gives once: n passes instead of n^2.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from anomalyagent.errors import BackendError
from anomalyagent.training.evaluation.datasets import Images

__all__ = ["CLUSTER_MOST", "SIDE_PX", "SPLITS", "Clustered", "InceptionScorer", "Perceptual", "as_sides"]

SIDE_PX = 256
SPLITS = 10
CLUSTER_MOST = 50


def as_sides(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(`SIDE_PX`, `SIDE_PX`, 3) uint8, bilinear with antialiasing as torchvision's Resize does it on PIL images."""
    return np.asarray(Image.fromarray(image).resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR))


class _Uint8(torch.utils.data.Dataset[Tensor]):
    """What torch-fidelity reads: (3, S, S) uint8 tensors."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._images[index].transpose(2, 0, 1)))


class InceptionScorer:
    """IS by torch-fidelity; the network is loaded once."""

    def __init__(self, weights: Path) -> None:
        from torch_fidelity.utils import create_feature_extractor

        self._cuda = torch.cuda.is_available()
        try:
            self._network: Any = create_feature_extractor(
                "inception-v3-compat",
                ["logits_unbiased"],
                cuda=self._cuda,
                feature_extractor_weights_path=str(weights),
                verbose=False,
            )
        except Exception as error:  # torch.load and load_state_dict fail in many ways
            raise BackendError(f"{weights} holds no weights of Inception v3: {str(error).splitlines()[0]}") from error

    def score(self, images: Images, splits: int = SPLITS) -> float:
        """IS of (N, S, S, 3) uint8 images, N >= splits."""
        from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
        from torch_fidelity.utils import get_featuresdict_from_dataset

        features = get_featuresdict_from_dataset(_Uint8(images), self._network, 16, self._cuda, True, False)
        return float(isc_features_to_metric(features["logits_unbiased"], splits)[KEY_METRIC_ISC_MEAN])


class Clustered(NamedTuple):
    """`value`: IC-LPIPS, None when no cluster has two images; `sizes`: images of each reference."""

    value: float | None
    sizes: list[int]


class Perceptual:
    """LPIPS with VGG, version 0.1.

    Args:
        weights: state dict of torchvision's vgg16; only its `features` are used. The linear layers come with the package.
    """

    def __init__(self, weights: Path) -> None:
        import lpips

        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # Built without memory and filled: VGG's own 120 M classifier weights are never made.
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: Any = lpips.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False)
        try:
            trunk = cast(dict[str, Tensor], torch.load(weights, map_location="cpu", weights_only=True))
            linear = torch.load(Path(lpips.__file__).parent / "weights/v0.1/vgg.pth", map_location="cpu", weights_only=True)
            model.load_state_dict(_as_slices(model, trunk) | linear | _copies(linear), strict=False, assign=True)
        except Exception as error:
            raise BackendError(f"{weights} holds no weights of a VGG16: {str(error).splitlines()[0]}") from error
        model.scaling_layer = lpips.lpips.ScalingLayer()
        self._model = model.to(self._device).eval()
        self._normalize = lpips.normalize_tensor

    @torch.no_grad()
    def features(self, image: NDArray[np.uint8]) -> list[Tensor]:
        """Normalized features of five layers of one (S, S, 3) uint8 image."""
        tensor = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None].to(self._device)
        shown = self._model.scaling_layer(tensor / 127.5 - 1)
        return [self._normalize(layer) for layer in self._model.net.forward(shown)]

    @torch.no_grad()
    def distance(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
        """LPIPS of two images, from their features."""
        parts = [lin((a - b) ** 2).mean() for lin, a, b in zip(self._model.lins, first, second, strict=True)]
        return float(torch.stack(parts).sum())

    def cluster(self, images: Images, references: Images, most: int = CLUSTER_MOST) -> Clustered:
        """IC-LPIPS of (N, S, S, 3) images beside (R, S, S, 3) references, R >= 1.

        More than `most` images of a cluster are drawn at random.
        """
        anchors = [self.features(image) for image in references]
        members: list[list[int]] = [[] for _ in anchors]
        for index, image in enumerate(images):
            found = self.features(image)
            distances = [self.distance(anchor, found) for anchor in anchors]
            members[int(np.argmin(distances))].append(index)
        rng = np.random.default_rng([0, 17])
        means: list[float] = []
        for one in members:
            chosen = rng.permutation(one)[:most].tolist() if len(one) > most else one
            if len(chosen) > 1:
                means.append(self._mean_pairwise(images[chosen]))
        return Clustered(float(np.mean(means)) if means else None, [len(one) for one in members])

    def _mean_pairwise(self, images: Images) -> float:
        kept = [self.features(image) for image in images]
        return float(np.mean([self.distance(kept[i], kept[j]) for i in range(len(kept)) for j in range(i)]))


def _as_slices(model: Any, trunk: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's `features.7.weight` under lpips' name, `net.slice2.7.weight`."""
    wanted = [name for name in model.state_dict() if name.startswith("net.slice")]
    return {name: trunk[f"features.{name.split('.', 2)[2]}"] for name in wanted}


def _copies(linear: dict[str, Tensor]) -> dict[str, Tensor]:
    """lpips keeps its linear layers twice, as `lin0` and as `lins.0`."""
    return {f"lins.{name[3]}{name[4:]}": value for name, value in linear.items() if name.startswith("lin")}
