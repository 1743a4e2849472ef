"""Published weights that metrics are defined by: found on disk or downloaded, and checked by their hash.

Other weights give other figures, which must not stand beside published ones; hence a file with another hash is refused,
unless it is asked for, and tables then say so.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import BackendUnavailableError, ConfigError

__all__ = ["DOWNLOAD", "INCEPTION", "NONE", "RESNET34", "VGG16", "Published", "Weights", "find_weights"]

NONE, DOWNLOAD = "none", "download"


@dataclass(frozen=True)
class Published:
    """A file of weights. `sha256`: the first digits of its hash, as its publisher writes them into the name."""

    name: str
    option: str
    url: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


RESNET34 = Published("ResNet34, ImageNet", "--weights", "https://download.pytorch.org/models/resnet34-b627a593.pth", "b627a593")
VGG16 = Published("VGG16, ImageNet", "--vgg", "https://download.pytorch.org/models/vgg16-397923af.pth", "397923af")
INCEPTION = Published(
    "Inception v3 of the original Inception Score",
    "--inception",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d",
)


class Weights(NamedTuple):
    """`path` is None for random ones; `note` is what a table must say of them."""

    path: Path | None
    note: str
    published: bool


def find_weights(wanted: Published, given: str, *, allow_other: bool = False, allow_none: bool = False) -> Weights:
    """The weights that an option names.

    Args:
        given: a file, `download`, or `none` for random ones.
        allow_other: take a file with another hash.
        allow_none: random ones make sense.
    Raises:
        ConfigError: `none` where weights are needed.
        BackendUnavailableError: no such file, another hash, or the download failed.
    """
    if given == NONE:
        if not allow_none:
            raise ConfigError(f"{wanted.name}: this metric is nothing without its weights. {_advice(wanted)}")
        return Weights(None, "no weights: trained from scratch", False)
    path = _download(wanted) if given == DOWNLOAD else expand_home(given)
    if not path.is_file():
        raise BackendUnavailableError(f"{wanted.name}: there is no file '{path}'. {_advice(wanted)}")
    digest = _sha256(path)
    if digest.startswith(wanted.sha256):
        return Weights(path, f"{wanted.name} ({wanted.sha256})", True)
    if allow_other:
        return Weights(path, f"OTHER weights than {wanted.name}: {path.name} ({digest[:8]}); not comparable", False)
    raise BackendUnavailableError(
        f"{path} is not {wanted.name}: its SHA-256 begins with {digest[:8]}, not {wanted.sha256}. {_advice(wanted)} "
        "To use it all the same, add --other-weights; the figures are then not comparable."
    )


def _download(wanted: Published) -> Path:
    """Into torch's own cache of weights, where torchvision looks too."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / wanted.file
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(wanted.url, str(path), hash_prefix=wanted.sha256, progress=False)
        except (OSError, RuntimeError) as error:
            raise BackendUnavailableError(
                f"{wanted.name}: {wanted.url} cannot be downloaded: {error}. Fetch it elsewhere and give {wanted.option} FILE."
            ) from error
    return path


def _advice(wanted: Published) -> str:
    return f"Give {wanted.option} FILE with {wanted.url}, or {wanted.option} download."


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
