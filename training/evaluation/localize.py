"""Localisation protocol: train a UNet from scratch on a contender's images, test it on real defects.

Half of each batch are the contender's anomaly images, half are normal images, both dealt from shuffled decks; flips and
slight changes of brightness are the only augmentation, the same for every contender. The LAST weights (in the fast
preset their running average, which takes much of the noise out of a short training) are the result; the best check on
the test set is kept beside it under that name, since published scripts report that one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.lr_scheduler import MultiStepLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from anomalyagent.errors import BackendError, ConfigError
from anomalyagent.training.evaluation.datasets import Images, Stack
from anomalyagent.training.evaluation.metrics import Maps, Scores, pixel_ap, score_maps
from anomalyagent.training.evaluation.network import Segmenter, focal_loss

__all__ = ["FAST", "PAPER", "Outcome", "Preset", "changed", "train_and_test"]

_REPORT_EVERY = 25
_BATCHES_TO_MEASURE = 16


@dataclass(frozen=True)
class Preset:
    """Size of the experiment.

    Attributes:
        size_px: images are square, of this side.
        base, depth: of the network.
        decay_at: shares of the steps after which the learning rate is multiplied by 0.2.
        average: decay of the running average of the weights; 0 for none.
        checks: how often the test set is scored, evenly over the steps; the last check is the result.
    """

    name: str
    size_px: int
    base: int
    depth: int
    steps: int
    batch: int
    learning_rate: float
    decay_at: tuple[float, float] = (0.8, 0.9)
    average: float = 0.0
    checks: int = 4


# The paper: 200 epochs of 500 draws in batches of 8, scored after each tenth epoch.
PAPER = Preset("paper", 256, 64, 5, 200 * 500 // 8, 8, 1e-4, checks=20)
FAST = Preset("fast", 128, 8, 4, 600, 8, 2e-3, average=0.98)


def changed(preset: Preset, steps: int | None = None, size_px: int | None = None, learning_rate: float | None = None) -> Preset:
    """A preset with other steps, another size of the images or another learning rate, where given.

    Raises:
        ConfigError: the network cannot halve images of this size as often as it must.
    """
    size_px = size_px or preset.size_px
    if size_px % 2**preset.depth:
        near = round(size_px / 2**preset.depth) * 2**preset.depth
        raise ConfigError(
            f"size {size_px} is no multiple of {2**preset.depth}: the network of '{preset.name}' halves images {preset.depth} "
            f"times. Use {max(near, 2**preset.depth)}."
        )
    return replace(preset, steps=steps or preset.steps, size_px=size_px, learning_rate=learning_rate or preset.learning_rate)


class Outcome(NamedTuple):
    """What one training came to.

    `last`: metrics of the last weights; `best_on_test`: of the check with the best pixel AP on the test set;
    `maps`: (N, S, S) float32 of the last weights on the test images; `losses`: one a step.
    """

    last: Scores
    best_on_test: Scores
    maps: Maps
    losses: list[float]


def train_and_test(
    anomalies: Stack,
    normals: Images,
    test: Stack,
    preset: Preset,
    seed: int,
    progress: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Outcome:
    """Run the protocol once.

    Args:
        anomalies: what the contender made, (N, S, S, 3) uint8 with masks.
        normals: (M, S, S, 3) uint8 good training images.
        test: real test images with masks.
        seed: of weights and draws.
        progress: called with (step, mean loss since the last call) now and then.
    Raises:
        BackendError: the weights are no numbers any more.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 7])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Segmenter(preset.base, preset.depth).to(device).to(memory_format=torch.channels_last)
    average = None
    if preset.average:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(preset.average))
    optimizer = torch.optim.Adam(model.parameters(), lr=preset.learning_rate)
    schedule = MultiStepLR(optimizer, [round(preset.steps * share) for share in preset.decay_at], gamma=0.2)
    check_at = {round(preset.steps * (check + 1) / preset.checks) for check in range(preset.checks)}
    batches = _batches(anomalies, normals, preset.batch, rng)
    losses: list[float] = []
    maps = best_maps = np.zeros(0, np.float32)
    best_ap = -1.0
    for step in range(1, preset.steps + 1):
        model.train()
        images, masks = (array.to(device) for array in next(batches))
        loss = focal_loss(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if average is not None:
            average.update_parameters(model)
        losses.append(float(loss.detach()))
        if step % _REPORT_EVERY == 0 or step == preset.steps:
            progress(step, float(np.mean(losses[-_REPORT_EVERY:])))
        if step in check_at:
            if average is not None:
                # Averaged weights give other activations than the statistics of the batch norms were measured on.
                update_bn((next(batches)[0] for _ in range(_BATCHES_TO_MEASURE)), average, device)
            maps = predict_maps(model if average is None else average, test.images)
            if not np.isfinite(maps).all():
                raise BackendError(f"the training broke down by step {step}: no numbers are left. Use a smaller learning rate.")
            # On large test sets a score takes as long as many steps: all of them are worked out at the end only.
            ap = pixel_ap(maps, test.masks)
            if ap > best_ap:
                best_ap, best_maps = ap, maps
    last = score_maps(maps, test.masks, test.types)
    return Outcome(last, last if best_maps is maps else score_maps(best_maps, test.masks, test.types), maps, losses)


@torch.no_grad()
def predict_maps(model: torch.nn.Module, images: Images) -> Maps:
    """(N, S, S) float32 anomaly probabilities of (N, S, S, 3) uint8 images."""
    model.eval()
    device = next(model.parameters()).device
    maps: list[NDArray[np.float32]] = []
    for start in range(0, len(images), 16):
        batch = _as_channels(images[start : start + 16].astype(np.float32) / 255).to(device)
        maps.append(torch.softmax(model(batch), dim=1)[:, 1].cpu().numpy())
    return np.concatenate(maps)


def _batches(
    anomalies: Stack, normals: Images, batch: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches: (B, 3, S, S) float32 images in 0..1 and (B, S, S) int64 masks of 0 and 1."""
    bad, good = _deck(len(anomalies.images), rng), _deck(len(normals), rng)
    nothing = np.zeros(normals.shape[1:3], np.bool_)
    while True:
        images: list[NDArray[np.float32]] = []
        masks: list[NDArray[np.bool_]] = []
        for place in range(batch):
            index = next(bad if place % 2 == 0 else good)
            image, mask = (anomalies.images[index], anomalies.masks[index]) if place % 2 == 0 else (normals[index], nothing)
            flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
            lit = np.flip(image, flips).astype(np.float32) * (rng.uniform(0.92, 1.08) / 255) + rng.uniform(-0.03, 0.03)
            images.append(lit.clip(0, 1).astype(np.float32))
            masks.append(np.flip(mask, flips))
        yield _as_channels(np.stack(images)), torch.from_numpy(np.stack(masks).astype(np.int64))


def _deck(size: int, rng: np.random.Generator) -> Iterator[int]:
    """Indices below `size`, each once in every round, in a new order each time."""
    while True:
        yield from rng.permutation(size).tolist()


def _as_channels(images: NDArray[np.floating]) -> torch.Tensor:
    """(B, S, S, 3) -> (B, 3, S, S) float32, laid out in memory as it came: channels last, which is faster on a CPU."""
    return torch.from_numpy(np.asarray(images, np.float32)).permute(0, 3, 1, 2)
