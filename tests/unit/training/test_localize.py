"""The protocol: it learns what can be learned, the same each time, and deals fairly."""

from dataclasses import replace

import numpy as np
import pytest

from anomalyagent.errors import ConfigError
from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.localize import FAST, Preset, changed, train_and_test

TINY = Preset("tiny", 32, 4, 2, 60, 4, 5e-3, average=0.9, checks=3)


def make_stack(count: int, good: int, seed: int) -> Stack:
    """Noise with a bright square in each but the last `good` images."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 120, (count, 32, 32, 3)).astype(np.uint8)
    masks = np.zeros((count, 32, 32), np.bool_)
    for index in range(count - good):
        top, left = rng.integers(2, 22, 2).tolist()
        masks[index, top : top + 8, left : left + 8] = True
    images[masks] += 100
    return Stack(images, masks, ["square"] * (count - good) + ["good"] * good)


ANOMALIES = make_stack(12, 0, 1)
NORMALS = make_stack(8, 8, 2).images
TEST = make_stack(10, 4, 3)


def test_bright_squares_are_learned_and_found() -> None:
    outcome = train_and_test(ANOMALIES, NORMALS, TEST, TINY, seed=0)
    assert outcome.last.pixel_ap > 0.9
    assert outcome.last.image_auroc == 1.0
    assert outcome.losses[-1] < outcome.losses[0] / 5
    assert outcome.maps.shape == (10, 32, 32)
    assert outcome.maps[TEST.masks].mean() > outcome.maps[~TEST.masks].mean() + 0.2


def test_the_same_seed_gives_the_same_result_to_the_bit_and_another_seed_another() -> None:
    short = replace(TINY, steps=6)
    first, again, other = (train_and_test(ANOMALIES, NORMALS, TEST, short, seed) for seed in (5, 5, 6))
    assert first.losses == again.losses
    assert np.array_equal(first.maps, again.maps)
    assert first.losses != other.losses


def test_best_on_test_is_never_worse_than_the_last_weights() -> None:
    outcome = train_and_test(ANOMALIES, NORMALS, TEST, replace(TINY, steps=9), seed=1)
    assert outcome.best_on_test.pixel_ap >= outcome.last.pixel_ap


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_training_of_any_length_is_scored_at_its_end(steps: int) -> None:
    told: list[int] = []
    outcome = train_and_test(ANOMALIES, NORMALS, TEST, replace(TINY, steps=steps), 0, lambda step, _loss: told.append(step))
    assert len(outcome.losses) == steps
    assert told[-1] == steps


def test_without_an_average_the_live_weights_are_scored() -> None:
    live = train_and_test(ANOMALIES, NORMALS, TEST, replace(TINY, steps=12, average=0.0, checks=1), seed=0)
    averaged = train_and_test(ANOMALIES, NORMALS, TEST, replace(TINY, steps=12, checks=1), seed=0)
    assert live.losses == averaged.losses
    assert not np.array_equal(live.maps, averaged.maps)


def test_two_anomaly_images_teach_even_beside_many_normal_ones() -> None:
    few = Stack(ANOMALIES.images[:2], ANOMALIES.masks[:2], ["square"] * 2)
    many = np.concatenate([NORMALS] * 5)
    assert train_and_test(few, many, TEST, TINY, seed=0).last.pixel_ap > 0.8


def test_the_fast_preset_averages_its_weights() -> None:
    assert FAST.average > 0


def test_a_preset_takes_other_steps_and_sizes_that_its_network_can_halve() -> None:
    assert changed(FAST) == FAST
    assert (changed(FAST, 1500, 192).steps, changed(FAST, 1500, 192).size_px) == (1500, 192)
    assert changed(FAST, learning_rate=5e-4) == replace(FAST, learning_rate=5e-4)
    with pytest.raises(ConfigError, match=r"size 100 is no multiple of 16.*Use 96"):
        changed(FAST, size_px=100)
