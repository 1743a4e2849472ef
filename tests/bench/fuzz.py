"""`make bench-fuzz`: 10,000 malformed calls over stdio and HTTP to real servers (see helpers/fuzzing.py).

    python tests/bench/fuzz.py [--count 10000] [--seed 0]

Prints a line for each transport; exit code 1 if anything was wrong.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.fuzzing import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outcomes = fuzz(given.seed, given.count)
    for outcome in outcomes:
        print(outcome.line())
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
