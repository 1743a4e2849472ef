"""`make bench-kill`: a real run is killed (kill -9) at random moments and resumed; its data set must equal an undisturbed one.

python tests/bench/kill.py [--kills 20] [--jobs 2] [--count 45] [--normals DIR --item NAME]
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.runs import hashes, kill_and_resume, start

NORMALS = Path(__file__).parents[2] / "examples" / "normals" / "metal_nut"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--count", type=int, default=45, help="samples of each of the two types")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--normals", type=Path, default=NORMALS)
    parser.add_argument("--item", default="metal nut")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        command = [sys.executable, "-m", "anomalyagent", "synthesize", "--normals", str(arguments.normals)]
        command += ["--item", arguments.item, "--anomaly-type", "scratch", "--anomaly-type", "rust stain"]
        command += ["--count", str(arguments.count)]
        undisturbed = start([*command, "--jobs", "1", "--out", str(whole)])
        undisturbed.communicate()
        killed = kill_and_resume(
            [*command, "--jobs", str(arguments.jobs), "--out", str(broken)],
            kills=arguments.kills,
            seed=arguments.seed,
            most_delay_s=0.3,
        )
        expected, found = hashes(whole / "dataset"), hashes(broken / "dataset")
    same = expected == found
    print(f"killed {killed} times with {arguments.jobs} jobs; {len(expected)} files; {'equal' if same else 'DIFFERENT'}")
    for name in sorted(set(expected) ^ set(found) | {n for n in set(expected) & set(found) if expected[n] != found[n]})[:20]:
        print("differs:", name)
    return 0 if same and expected else 1


if __name__ == "__main__":
    sys.exit(main())
