"""A fork from every checkpoint of 50 trajectories of the embedded configuration: before each decision and before each call.

Of each fork it is checked that the part before it is the parent's, that nothing before it was run again (every tool call is
counted), and that neither the parent's file nor its checkpoints were written.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.forks import fork_everywhere
from helpers.photos import make_photos

from anomalyagent.configs.loading import load_settings
from anomalyagent.graph.locate import trajectory_ids
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.graph.trace import read_trajectory
from anomalyagent.graph.worker import CHECKPOINTS, trajectory_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="Trajectories.")
    count = parser.parse_args().count
    with TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        # a pass mark that is hard to reach, so that trajectories have several rounds, knowledge and rejections
        settings = load_settings(sets=["tools.quality_eval.threshold=8.5"], env={})
        photos = make_photos(Path(folder) / "photos", count=3, size=128)
        synthesize(Request([photos], "metal nut", ["scratch", "dent", "stain"], -(-count // 3), run_dir), settings)
        names = trajectory_ids(run_dir)[:count]
        parents = [read_trajectory(trajectory_path(run_dir, name)) for name in names]
        rounds = sum(one.rounds for one in parents)
        print(f"{len(names)} trajectories, {rounds} rounds, {sum(len(one.turns) for one in parents)} turns")
        clock = time.perf_counter()
        made = asyncio.run(fork_everywhere(run_dir, names))
        print(f"{made} forks from checkpoints in {time.perf_counter() - clock:.0f} s: every one as it must be")
        for store in run_dir.glob(f"{CHECKPOINTS}*"):
            store.unlink()
        clock = time.perf_counter()
        made = asyncio.run(fork_everywhere(run_dir, names))
        print(f"{made} forks from files alone in {time.perf_counter() - clock:.0f} s: every one as it must be")


if __name__ == "__main__":
    main()
