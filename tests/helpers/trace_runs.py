"""Small run folders of trajectories that were written down, with pictures, for tests of what reads runs."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from helpers.conversations import Conversation, answer
from helpers.trajectories import finished

from anomalyagent.graph.trace import ImageEntry, Trajectory, write_trajectory

__all__ = ["good_talk", "second_chance", "store_run", "with_pictures"]


def good_talk(score: float = 7.0) -> Conversation:
    """One round, passed, masked, answered."""
    talk = Conversation().prompt().image().judge(score).mask(2)
    return talk.act(answer("success", 2, True))


def second_chance(first: float = 3.0, second: float = 8.0) -> Conversation:
    """A failed round, knowledge, a passed one."""
    talk = Conversation().prompt().image().judge(first).knowledge().image().judge(second).mask(3)
    return talk.act(answer("success", 3, True))


def with_pictures(run_dir: Path, trajectory: Trajectory, seed: int = 0) -> Trajectory:
    """The trajectory with real files behind its images, no two of them alike for different seeds."""
    files: dict[str, str] = {}
    entries: list[ImageEntry] = []
    for entry in trajectory.images:
        ref = f"images/{trajectory.id}-{entry.number}.png"
        pixels = np.full((32, 32, 3), (7 * seed + 31 * entry.number) % 256, np.uint8)
        data = cv2.imencode(".png", pixels)[1].tobytes()
        (run_dir / "images").mkdir(parents=True, exist_ok=True)
        (run_dir / ref).write_bytes(data)
        files[entry.ref] = ref
        entries.append(entry.model_copy(update={"ref": ref, "sha256": hashlib.sha256(data).hexdigest()}))
    by_number = {entry.number: entry for entry in entries}
    turns = [
        turn.model_copy(
            update={
                "observation": turn.observation.model_copy(
                    update={"images": [by_number[image.number] for image in turn.observation.images]}
                )
            }
        )
        if turn.observation
        else turn
        for turn in trajectory.turns
    ]
    task = trajectory.task.model_copy(
        update={"normal_image": files[trajectory.task.normal_image], "normal_sha256": entries[0].sha256}
    )
    return trajectory.model_copy(update={"images": entries, "turns": turns, "task": task})


def store_run(run_dir: Path, talks: Sequence[Conversation], items: Sequence[str] = ("metal nut",)) -> Path:
    """Write the conversations as a run, taking the items in turn; each has a photo of its own."""
    for number, talk in enumerate(talks):
        one = finished(talk)
        item = items[number % len(items)]
        task = one.task.model_copy(update={"id": f"scratch-{number:05d}", "index": number, "item_name": item})
        stored = with_pictures(run_dir, one.model_copy(update={"id": task.id, "task": task}), seed=number)
        write_trajectory(stored, run_dir / "trajectories" / f"{task.id}.json")
    return run_dir
