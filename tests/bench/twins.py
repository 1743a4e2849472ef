"""A data set without good photos, made into one that detectors can be tested on.

`anomalyagent traces from-real` repairs each real defect; the repaired twins stand for good photos here. Of each type, by
name, the twins of the first third become train/good, those of the rest test/good: as `evaluate localize` splits the defects,
so that no detector is trained on a twin of what it is tested on.

    anomalyagent traces from-real --defects DIR --item NAME --out RUN
    python tests/bench/twins.py --run RUN --out SET
"""

import argparse
import json
import shutil
from collections import defaultdict
from pathlib import Path


def main() -> None:
    """Copy images, masks and twins into MVTec layout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of `anomalyagent traces from-real`")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    given = parser.parse_args()
    if given.out.exists():
        parser.error(f"{given.out} is there already; give a new folder")
    manifests = sorted(given.run.glob("dataset/*/manifest.jsonl"))
    if len(manifests) != 1:
        parser.error(f"{given.run} holds {len(manifests)} data sets, not one; give the run folder of one `traces from-real`")
    rows = [json.loads(line) for line in manifests[0].read_text("utf-8").splitlines()]
    types: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: Path(row["source"]).stem):
        types[row["anomaly_type"]].append(row)
    source = manifests[0].parent
    for kind, of_type in types.items():
        for place, row in enumerate(of_type):
            name = Path(row["source"]).stem
            part = "train" if place < len(of_type) // 3 else "test"
            _copy(source / row["image"], given.out / "test" / kind / f"{name}.png")
            _copy(source / row["mask"], given.out / "ground_truth" / kind / f"{name}_mask.png")
            _copy(source / row["normal"], given.out / part / "good" / f"{kind}_{name}.png")
    print(f"{len(rows)} defects of {len(types)} types and their twins in {given.out}")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


if __name__ == "__main__":
    main()
