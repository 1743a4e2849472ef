"""`make bench-acceptance REAL=DIR ITEM=NAME`: does the loop bring good samples, and do its two promises hold for each?

    python tests/bench/acceptance.py --real DIR --item NAME [--count 20] [--jobs 1] [--keep DIR]

DIR is a real data set in MVTec layout: its `train/good` photos are used, once with `auto` and once with the names of its
own anomaly types. Every accepted sample is then checked: the mask is not empty, equals what visibly changed, and every
pixel outside it is identical to the photo.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Literal

from anomalyagent.configs.loading import load_settings
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import read_mask, read_photo


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--item", required=True)
    parser.add_argument("--count", type=int, default=20, help="samples of each type")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    named = sorted(path.name for path in (arguments.real / "test").iterdir() if path.name != "good")
    print("| types | accepted | rejected | failed | accepted share | rounds | s for a good one | broken promises |")
    print("|---|---|---|---|---|---|---|---|")
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        base = arguments.keep or Path(folder)
        choices: list[tuple[str, list[str] | Literal["auto"]]] = [("auto", "auto"), ("named", named)]
        for name, types in choices:
            request = Request([arguments.real], arguments.item, types, arguments.count, base / name, jobs=arguments.jobs)
            summary = synthesize(request, load_settings(None, (), {}))
            faults = check(Path(summary.run_dir))
            broken += faults
            finished = summary.accepted + summary.rejected + summary.failed
            print(
                f"| {name}: {', '.join(one.anomaly_type for one in summary.types)} | {summary.accepted} | {summary.rejected} | "
                f"{summary.failed} | {summary.accepted / max(finished, 1):.3f} | {summary.rounds_mean or 0:.2f} | "
                f"{summary.seconds_per_good or 0:.3f} | {faults} |",
                flush=True,
            )
    return 1 if broken else 0


def check(run: Path) -> int:
    """Number of accepted samples for which a promise does not hold."""
    dataset = next((run / "dataset").iterdir())
    faults = 0
    for line in (dataset / "manifest.jsonl").read_text("utf-8").splitlines():
        sample = json.loads(line)
        normal, anomaly = read_photo(dataset / sample["normal"]), read_photo(dataset / sample["image"])
        mask = read_mask(dataset / sample["mask"])
        outside_same = bool((normal.native[~mask] == anomaly.native[~mask]).all())
        if not (mask.any() and outside_same and bool((mask_of_change(normal, anomaly) == mask).all())):
            faults += 1
            print(f"broken promise: {sample['image']}", file=sys.stderr)
    return faults


if __name__ == "__main__":
    sys.exit(main())
