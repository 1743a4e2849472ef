"""`make demo`: a small defect data set from the bundled photos of good parts, and where to look at it.

It runs the same command that you would run on your own photos, once for each part.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

NORMALS = Path(__file__).parent / "normals"

PARTS: list[tuple[str, str, list[str]]] = [
    # folder, item name, anomaly types: `auto` asks the knowledge base, any other words are used as they are
    ("metal_nut", "metal nut", ["scratch", "rust stain", "chipped corner"]),
    ("leather", "leather", ["auto"]),
    ("tablet", "white tablet", ["hairline crack", "chipped edge", "black speck", "hair"]),
    ("steel_plate", "brushed steel plate", ["scratch", "rust stain", "dent"]),
    ("connector", "connector", ["bent pin", "missing pin", "scratch"]),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo_run"), help="folder for the runs (made anew)")
    parser.add_argument("--count", type=int, default=4, help="samples of each anomaly type")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    for folder, item, types in PARTS:
        command = ["anomalyagent", "synthesize", "--normals", str(NORMALS / folder), "--item", item]
        command += [part for name in types for part in ("--anomaly-type", name)]
        command += ["--count", str(arguments.count), "--out", str(arguments.out / folder)]
        print(f"\n$ {shlex.join(command)}", flush=True)
        done = subprocess.run([sys.executable, "-m", *command], check=False)
        if done.returncode not in (0, 1):  # 1: a type did not bring all of its samples
            return done.returncode
    print(f"\nLook at {arguments.out}/<part>/report.html; the data sets are in {arguments.out}/<part>/dataset/ (MVTec layout).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
