"""Classification protocol: a ResNet34 learns the anomaly types from a contender's images and names those of real defects.

The paper: ImageNet weights, the last layer replaced by one class for each type, Adam 1e-4, batches of 8, 30 epochs, learning
rate x 0.2 at 80 % and 90 %; an epoch passes five times over the images, at most 500 a type, as the scripts that the field
shares do. Tested on the last two thirds of each real type. The LAST weights are the result.

The fast size starts from random weights as a rule, and a contender may have twenty images (the oracle). Three things then make
the difference between guessing and learning: enough steps, images turned and mirrored by chance, and statistics of batch norm
taken anew before anything is named. While weights still move, the running ones lag behind them: a network that named its own
training images right in training mode named all of them alike in evaluation mode (Wu & Johnson, "Rethinking Batch in
BatchNorm", 2021).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from anomalyagent.errors import BackendError, ImageError
from anomalyagent.training.evaluation.datasets import Images, Stack

__all__ = ["FAST_CLASSIFY", "PAPER_CLASSIFY", "Answers", "ClassifyPreset", "check_types", "train_and_name"]


@dataclass(frozen=True)
class ClassifyPreset:
    """Size of the experiment.

    Attributes:
        passes: how often an epoch goes over the images, at least.
        most: images of each type.
        decay_at: shares of the epochs after which the learning rate is multiplied by 0.2.
        least_steps: few images are passed over more often, until the training has so many steps.
        turned: images are turned by quarters and mirrored by chance.
        settled: before naming, batch norm's statistics are taken anew.
    """

    name: str
    size_px: int
    epochs: int
    passes: int
    batch: int
    learning_rate: float
    most: int = 500
    decay_at: tuple[float, ...] = (0.8, 0.9)
    least_steps: int = 0
    turned: bool = False
    settled: bool = False

    @property
    def decays(self) -> list[int]:
        """Epochs after which the learning rate falls."""
        return [round(self.epochs * share) for share in self.decay_at]

    def with_epochs(self, epochs: int | None) -> "ClassifyPreset":
        """Just so many epochs, without a least number of steps; the preset as it is for None."""
        return self if epochs is None else replace(self, epochs=epochs, least_steps=0)

    def passes_over(self, images: int) -> int:
        """How often an epoch goes over so many images."""
        return max(self.passes, math.ceil(self.least_steps * self.batch / (self.epochs * max(images, 1))))


PAPER_CLASSIFY = ClassifyPreset("paper", 256, 30, 5, 8, 1e-4)
FAST_CLASSIFY = ClassifyPreset("fast", 128, 8, 1, 8, 3e-4, decay_at=(), least_steps=160, turned=True, settled=True)
_SETTLING_BATCHES = 32


class Answers(NamedTuple):
    """What one training came to.

    `last`: (N,) class of each test image by the last weights; `best_on_test`: accuracy of the best epoch on the test set;
    `losses`: mean of each epoch.
    """

    last: NDArray[np.int64]
    best_on_test: float
    losses: list[float]


def check_types(name: str, anomalies: Stack, test: Stack) -> list[str]:
    """The classes: the types of the test set.

    Raises:
        ImageError: the contender lacks one, or there is only one to name.
    """
    wanted, had = sorted(set(test.types)), sorted(set(anomalies.types))
    if absent := [kind for kind in wanted if kind not in had]:
        raise ImageError(
            f"'{name}' has no images of type {', '.join(absent)}; it has: {', '.join(had)}. Make them under the names of the "
            "real set, or leave those types out with --skip-type."
        )
    if len(wanted) < 2:
        raise ImageError(f"there is only one type to name, {wanted[0] if wanted else 'none'}: nothing can be told apart.")
    return wanted


def train_and_name(
    anomalies: Stack,
    test: Stack,
    classes: Sequence[str],
    preset: ClassifyPreset,
    weights: Path | None,
    seed: int,
    progress: Callable[[int, int, float], None] = lambda _epoch, _epochs, _loss: None,
) -> Answers:
    """Run the protocol once.

    Args:
        anomalies: what the contender made, (N, S, S, 3) uint8; types outside `classes` are left out.
        test: real test images, without good ones.
        weights: state dict of torchvision's resnet34; None for random ones.
        progress: called with (epoch, epochs, mean loss) after each.
    Raises:
        BackendError: the weights do not fit.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 13])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = _build(len(classes), weights).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=preset.learning_rate)
    schedule = MultiStepLR(optimizer, preset.decays, gamma=0.2)
    images, labels = _select(anomalies, classes, preset.most)
    truth = np.array([classes.index(kind) for kind in test.types])
    losses: list[float] = []
    answers, best = np.zeros(len(truth), np.int64), 0.0
    for epoch in range(preset.epochs):
        model.train()
        epoch_losses: list[float] = []
        for chosen in _batches(len(labels), preset.passes_over(len(labels)), preset.batch, rng):
            shown = _turned(images[chosen], rng) if preset.turned else images[chosen]
            logits = model(_as_input(shown, device))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels[chosen]).to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            epoch_losses.append(float(loss.detach()))
        schedule.step()
        if preset.settled:
            _settle(model, images, preset, np.random.default_rng([seed, epoch, 17]), device)
        answers = _name(model, test.images, device)
        best = max(best, float((answers == truth).mean()))
        losses.append(float(np.mean(epoch_losses)))
        progress(epoch + 1, preset.epochs, losses[-1])
    return Answers(answers, best, losses)


def _build(classes: int, weights: Path | None) -> nn.Module:
    from torchvision.models import resnet34

    model = resnet34()
    if weights is not None:
        try:
            state = cast(dict[str, Any], torch.load(weights, map_location="cpu", weights_only=True))
            model.load_state_dict(state)
        except Exception as error:  # torch.load and load_state_dict fail in many ways
            raise BackendError(f"{weights} holds no weights of a ResNet34: {str(error).splitlines()[0]}") from error
    model.fc = nn.Linear(model.fc.in_features, classes)
    return model


def _select(anomalies: Stack, classes: Sequence[str], most: int) -> tuple[Images, NDArray[np.int64]]:
    chosen: list[int] = []
    for kind in classes:
        chosen += [index for index, name in enumerate(anomalies.types) if name == kind][:most]
    return anomalies.images[chosen], np.array([classes.index(anomalies.types[index]) for index in chosen])


def _batches(count: int, passes: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Indices, each `passes` times, in a new order. A last batch of one is left out: batch norm has no statistics of it."""
    order = rng.permutation(np.tile(np.arange(count), passes))
    for start in range(0, len(order), batch):
        if len(order) - start > 1 or len(order) == 1:
            yield order[start : start + batch]


def _turned(images: Images, rng: np.random.Generator) -> Images:
    """Each of them turned by a random number of quarters, and mirrored or not."""
    turned = [np.rot90(image, quarters) for image, quarters in zip(images, rng.integers(4, size=len(images)), strict=True)]
    mirrored = rng.random(len(images)) < 0.5
    return np.stack([image[:, ::-1] if flip else image for image, flip in zip(turned, mirrored, strict=True)])


@torch.no_grad()
def _settle(model: nn.Module, images: Images, preset: ClassifyPreset, rng: np.random.Generator, device: torch.device) -> None:
    """Batch norm's running statistics as the plain mean over batches like those of the training, by the weights as they are."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for number, chosen in enumerate(_batches(len(images), 2, preset.batch, rng)):
        if number == _SETTLING_BATCHES:
            break
        model(_as_input(_turned(images[chosen], rng) if preset.turned else images[chosen], device))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def _name(model: nn.Module, images: Images, device: torch.device) -> NDArray[np.int64]:
    model.eval()
    found = [
        model(_as_input(images[start : start + 16], device)).argmax(1).cpu().numpy() for start in range(0, len(images), 16)
    ]
    return np.concatenate(found)


def _as_input(images: Images, device: torch.device) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float32 in 0..1, channels last."""
    return torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2).to(device)
