"""The classification protocol, on types that a look tells apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.weights import save_resnet34

from anomalyagent.errors import BackendError, ImageError
from anomalyagent.training.evaluation.classify import (
    FAST_CLASSIFY,
    PAPER_CLASSIFY,
    ClassifyPreset,
    _settle,  # pyright: ignore[reportPrivateUsage]
    _turned,  # pyright: ignore[reportPrivateUsage]
    check_types,
    train_and_name,
)
from anomalyagent.training.evaluation.datasets import Stack

torch.set_num_threads(1)
TINY = ClassifyPreset("tiny", 32, 4, 3, 8, 1e-3, decay_at=())


def stack(count: int, seed: int, kinds: tuple[str, ...] = ("dark", "light")) -> Stack:
    rng = np.random.default_rng(seed)
    images = rng.integers(100, 140, (count * len(kinds), 32, 32, 3)).astype(np.uint8)
    for number in range(count):
        for place, _ in enumerate(kinds):
            x, y = rng.integers(4, 20, 2)
            images[number * len(kinds) + place, y : y + 8, x : x + 8] = 20 if place == 0 else 240 - 60 * (place - 1)
    return Stack(images, np.zeros(images.shape[:3], bool), list(kinds) * count)


def test_types_that_look_different_are_named_right_after_a_few_epochs() -> None:
    seen: list[tuple[int, int]] = []
    test = stack(5, 1)
    answers = train_and_name(
        stack(10, 0), test, ["dark", "light"], TINY, None, 0, lambda epoch, of, _loss: seen.append((epoch, of))
    )
    truth = np.array([0, 1] * 5)
    assert (answers.last == truth).mean() >= 0.9
    assert answers.best_on_test >= (answers.last == truth).mean()
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert answers.losses[-1] < answers.losses[0]


def test_settling_takes_batch_norms_statistics_from_the_images_and_leaves_the_rest() -> None:
    """While weights move, the running ones lag behind: a network then names its own training images all alike."""
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    norm = torch.nn.BatchNorm2d(3)
    norm.running_mean = torch.tensor([9.0, 9.0, 9.0])  # of weights that are long gone
    preset = ClassifyPreset("tiny", 8, 1, 1, 4, 1e-3, settled=True)
    _settle(torch.nn.Sequential(norm), images, preset, np.random.default_rng(1), torch.device("cpu"))
    assert norm.running_mean is not None
    assert norm.running_mean.numpy() == pytest.approx(images.reshape(-1, 3).mean(axis=0) / 255, abs=1e-5)
    assert norm.momentum == 0.1


def test_few_images_are_passed_over_until_the_training_has_its_steps() -> None:
    assert [FAST_CLASSIFY.passes_over(images) for images in (20, 160, 1500)] == [8, 1, 1]
    assert FAST_CLASSIFY.least_steps * FAST_CLASSIFY.batch <= 8 * FAST_CLASSIFY.epochs * 20
    assert PAPER_CLASSIFY.passes_over(20) == 5  # the paper's size stays the paper's


def test_turned_images_show_the_same_pixels() -> None:
    images = np.arange(4 * 6 * 6 * 3).reshape(4, 6, 6, 3).astype(np.uint8)
    turned = _turned(images, np.random.default_rng(3))
    assert not np.array_equal(turned, images)
    for before, after in zip(images, turned, strict=True):
        assert np.array_equal(np.sort(before.reshape(-1, 3), axis=0), np.sort(after.reshape(-1, 3), axis=0))


def test_the_same_seed_gives_the_same_answers_and_given_weights_are_used(tmp_path: Path) -> None:
    preset, train, test = replace(TINY, epochs=1), stack(3, 0), stack(3, 1)
    runs = [train_and_name(train, test, ["dark", "light"], preset, None, 0) for _ in range(2)]
    assert runs[0].losses == runs[1].losses
    weights = save_resnet34(tmp_path / "resnet.pth")
    assert train_and_name(train, test, ["dark", "light"], preset, weights, 0).losses != runs[0].losses


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"hello": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(BackendError, match=r"other\.pth holds no weights of a ResNet34"):
        train_and_name(stack(2, 0), stack(2, 1), ["dark", "light"], TINY, tmp_path / "other.pth", 0)


def test_a_contender_without_a_type_is_refused_and_types_of_its_own_are_left_out() -> None:
    test = stack(2, 1)
    with pytest.raises(ImageError, match="'ours' has no images of type light; it has: dark, scratch"):
        check_types("ours", stack(2, 0, ("dark", "scratch")), test)
    assert check_types("ours", stack(2, 0, ("dark", "light", "scratch")), test) == ["dark", "light"]
    with pytest.raises(ImageError, match="only one type to name, dark"):
        check_types("ours", stack(2, 0, ("dark",)), stack(2, 1, ("dark",)))


def test_the_papers_size_is_the_papers() -> None:
    paper = PAPER_CLASSIFY
    assert (paper.size_px, paper.epochs, paper.batch, paper.learning_rate, paper.decay_at) == (256, 30, 8, 1e-4, (0.8, 0.9))
    assert FAST_CLASSIFY.size_px < paper.size_px


def test_epochs_that_a_user_asks_for_are_not_overruled_by_the_least_number_of_steps() -> None:
    """`--epochs 1` of the fast preset trained 160 steps all the same."""
    assert FAST_CLASSIFY.with_epochs(1).passes_over(6) == FAST_CLASSIFY.passes
    assert FAST_CLASSIFY.with_epochs(None) is FAST_CLASSIFY


def test_the_learning_rate_falls_after_whole_epochs() -> None:
    """Shares of 8 epochs were 6.4 and 7.2: no epoch is, and the rate never fell."""
    assert PAPER_CLASSIFY.decays == [24, 27]
    assert PAPER_CLASSIFY.with_epochs(8).decays == [6, 7]
    assert FAST_CLASSIFY.decays == FAST_CLASSIFY.with_epochs(10).decays == []
