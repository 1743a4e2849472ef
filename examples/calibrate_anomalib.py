"""A threshold for an anomalib detector without a single real defect, and what that is worth on real ones.

    anomalyagent synthesize --normals bottle/train/good --item bottle --anomaly-type auto --count 100 --out runs/bottle
    python examples/calibrate_anomalib.py --real bottle/ --run runs/bottle

A detector that learned from good photos only gives scores, and somebody must say from which score on a part is bad. The
detector is anomalib's PaDiM, trained on good photos through anomalib's own engine. Its threshold then comes from

    good photos alone      the highest score of good photos that were held out
    Perlin (anomalib)      anomalib's own synthetic anomalies, drawn on the held-out photos
    ours                   the data set of the run: what the engine does when it is given our export
    real defects           the first third of them: what nobody has at the start

(each with as many defects as good photos, where there are so many) and is tried on the last two thirds of the real defects
and all good test photos, which none of these has seen.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_auc_score

from anomalyagent.training.datasets.export import export_dataset
from anomalyagent.training.datasets.files import decode_image, sorted_images
from anomalyagent.training.evaluation.datasets import GOOD, read_real

SIDE_PX = 256
Scores = NDArray[np.float64]


class Row(NamedTuple):
    """How a threshold does on the real test images, all in 0..1. `false_alarms`: share of the good parts that it rejects."""

    source: str
    f1: float
    found: float
    false_alarms: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="real data set in MVTec layout, for the test")
    parser.add_argument("--run", type=Path, required=True, help="a run of `anomalyagent synthesize` on its good photos")
    parser.add_argument("--backbone", default="resnet18", help="of PaDiM")
    parser.add_argument("--pretrained", action="store_true", help="ImageNet weights (downloaded by timm); else random ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the rows here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, auroc = calibrate(
            arguments.real, arguments.run, Path(folder), arguments.backbone, arguments.pretrained, arguments.seed
        )
    print(f"PaDiM, {arguments.backbone}, {'ImageNet' if arguments.pretrained else 'random'} weights: image AUROC {auroc:.3f}\n")
    print("| threshold from | F1 | defects found | false alarms |\n|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row.source} | {row.f1:.3f} | {100 * row.found:.0f} % | {100 * row.false_alarms:.0f} % |")
    if arguments.json:
        arguments.json.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n", "utf-8")
    return 0


def calibrate(real: Path, run: Path, work: Path, backbone: str, pretrained: bool, seed: int) -> tuple[list[Row], float]:
    """Train, find each threshold, and try it; also the detector's image AUROC on the test images."""
    anomalib, models, engine = (import_module(f"anomalib{name}") for name in (".data", ".models", ".engine"))
    torch.manual_seed(seed)
    out = export_dataset([run], "mvtec", work / "export").folder
    item = next(out.iterdir())
    keep_balanced(item)
    # Training, and the threshold on our data: nothing here is special to it.
    data: Any = anomalib.MVTecAD(root=out, category=item.name, num_workers=0, val_split_mode="same_as_test")
    model: Any = models.Padim(backbone=backbone, pre_trained=pretrained, visualizer=False)
    engine.Engine(accelerator="cpu", logger=False, default_root_dir=work, enable_progress_bar=False).fit(model, datamodule=data)
    ours = float(model.post_processor.image_threshold)

    held_out = sorted_images(item / "test" / GOOD)
    good = score(model, [decode_image(path) for path in held_out])
    split = read_real(real)
    truth = np.array([file.anomaly_type != GOOD for file in split.test])
    tested = score(model, [decode_image(file.image) for file in split.test])
    seen = score(model, [decode_image(file.image) for file in split.few_shot])
    thresholds = {
        "good photos alone": float(good.max()),
        "Perlin (anomalib)": best_threshold(good, score(model, perlin(held_out, seed))),
        "ours": ours,
        "real defects (first third)": best_threshold(good, seen),
        "the test set itself (the best there is)": best_threshold(tested[~truth], tested[truth]),
    }
    return [rate(name, tested, truth, value) for name, value in thresholds.items()], float(roc_auc_score(truth, tested))


def keep_balanced(item: Path) -> None:
    """Leave as many defects as good photos, evenly over the types: the best F1 depends on the share of bad parts."""
    types = sorted(path for path in (item / "test").iterdir() if path.name != GOOD)
    wanted = len(sorted_images(item / "test" / GOOD))
    for number, folder in enumerate(types):
        keep = (wanted + number) // len(types)
        files = sorted_images(folder)
        kept = (
            {files[place * len(files) // keep] for place in range(min(keep, len(files)))} if keep < len(files) else set(files)
        )
        for path in files:
            if path not in kept:
                path.unlink()
                (item / "ground_truth" / folder.name / f"{path.stem}_mask.png").unlink()


def score(model: Any, images: Sequence[NDArray[np.uint8]]) -> Scores:
    """The detector's raw score of each image, the scale of its thresholds."""
    model.eval()
    found: list[float] = []
    with torch.no_grad():
        for image in images:
            tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
            shown = model.pre_processor.transform(tensor[None]) if model.pre_processor else tensor[None]
            found.append(float(model.model(shown).pred_score))
    return np.array(found)


def perlin(files: Sequence[Path], seed: int) -> list[NDArray[np.uint8]]:
    """anomalib's own synthetic anomalies on these photos."""
    generators: Any = import_module("anomalib.data.utils.generators")
    torch.manual_seed(seed)
    draw = generators.PerlinAnomalyGenerator(probability=1.0)
    made: list[NDArray[np.uint8]] = []
    for path in files:
        photo = cv2.resize(decode_image(path), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        drawn, mask = draw(torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).float() / 255)
        if bool(mask.any()):
            made.append((drawn.clamp(0, 1) * 255).byte().numpy().transpose(1, 2, 0))
    return made


def best_threshold(good: Scores, bad: Scores) -> float:
    """The score with the best F1, which is anomalib's own rule: parts from it on are bad."""
    truth = np.concatenate([np.zeros(len(good)), np.ones(len(bad))])
    precision, recall, thresholds = precision_recall_curve(truth, np.concatenate([good, bad]))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[int(np.argmax(f1[:-1]))])


def rate(name: str, scores: Scores, truth: NDArray[np.bool_], threshold: float) -> Row:
    """How a threshold does."""
    rejected = scores >= threshold
    hits, wrong, missed = (rejected & truth).sum(), (rejected & ~truth).sum(), (~rejected & truth).sum()
    f1 = 2 * hits / max(1, 2 * hits + wrong + missed)
    return Row(name, float(f1), float(hits / truth.sum()), float(wrong / max(1, (~truth).sum())))


if __name__ == "__main__":
    sys.exit(main())
