"""Policies compared on the same tasks: how often, how fast and how legally they make a good sample.

A good sample is one that the judge in the loop accepted (score above the pass mark). The reward and its terms come from the
judge that no policy hears (`training.judging`). Intervals are 95 % bootstrap intervals over the tasks of all seeds.

    <out>.md, <out>.json      the table
    <out>.work/               one JSON line for each episode, so that the same command resumes
"""

import asyncio
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

import anomalyagent
from anomalyagent.errors import PolicyError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.inputs import hash_file
from anomalyagent.graph.policies.base import Decision, Policy
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.policies.local import LocalPolicy, shipped_model
from anomalyagent.graph.policies.local_plans import legal_calls, write_image_call
from anomalyagent.graph.policies.scripted import ScriptedPolicy
from anomalyagent.graph.progress import View, read_progress
from anomalyagent.graph.rules import check
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Trajectory
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.spec import ZONES, DefectSpec
from anomalyagent.mcp_tools.contracts import MOST_TRIES
from anomalyagent.training.environment import Environment, play
from anomalyagent.training.evaluation.keeping import check_table
from anomalyagent.training.evaluation.policy_ablation import PARTS, PartsPolicy
from anomalyagent.training.judging import RewardJudge, make_judge
from anomalyagent.training.practice import Practice
from anomalyagent.training.rewards import RewardWeights, reward
from anomalyagent.training.settings import TrainSettings

__all__ = ["Estimate", "PolicyComparison", "RandomPolicy", "compare_policies", "known_policies", "make_compared"]

BATCH = 10
DRAWS = 2000


class RandomPolicy:
    """Any legal turn, each as likely as the others, with random numbers: the floor."""

    name = "random"

    def __init__(self, options: dict[str, Any]) -> None:
        del options

    async def decide(self, view: View) -> Decision:
        """The next turn."""
        rng = np.random.default_rng(derive_seed(view.task.seed, "random", len(view.turns)))
        choices = legal_calls(view)
        if view.progress.prompt is not None:
            drawn = DefectSpec(
                mechanism=view.progress.prompt.spec.mechanism,
                zone=ZONES[int(rng.integers(len(ZONES)))],
                area_fraction=float(np.exp(rng.uniform(np.log(3e-4), np.log(0.3)))),
                elongation=float(np.exp(rng.uniform(0.0, np.log(50.0)))),
                severity=float(np.exp(rng.uniform(0.0, np.log(60.0)))),
            )
            call = write_image_call(view.task.item_name, view.task.anomaly_type, drawn)
            choices += [call] if check(view, call) is None else []
        return Decision("Anything.", choices[int(rng.integers(len(choices)))])


def _script() -> dict[str, Any]:
    """Prompt, image from the words alone, judge; mask and answer whether it passed or not; three times."""
    names = {"item_name": "{item_name}", "anomaly_type": "{anomaly_type}"}

    def turn(action: dict[str, Any]) -> dict[str, Any]:
        return {"thought": "As written.", "action": action}

    def call(name: str, **arguments: Any) -> dict[str, Any]:
        return turn({"kind": "tool_call", "name": name, "arguments": arguments})

    turns = [call("prompt_gen", image=1, **names)]
    for number in (2, 3, 4):
        pair = {"normal_image": 1, "anomaly_image": number}
        answer = {
            "kind": "answer",
            "status": "success",
            "final_image_index": number,
            "mask_generated": True,
            "synthesis_logic": "script",
        }
        turns += [
            call("image_gen", image=1, prompt="a {anomaly_type} on the {item_name}"),
            call("quality_eval", **pair, **names),
            call("mask_gen", **pair),
            turn(answer),
        ]
    last = {**turns[-1]["action"], "status": "failure"}
    return {"turns": [*turns, turn(last)], "repeat": True}


def known_policies() -> dict[str, Callable[[], Policy]]:
    """Name -> maker of the policies that can be compared without a path."""
    weights = shipped_model().parent
    return {
        "expert": lambda: ExpertPolicy({}),
        "expert-tries": lambda: ExpertPolicy({"tries": MOST_TRIES}),
        "scripted": lambda: ScriptedPolicy(_script()),
        "random": lambda: RandomPolicy({}),
        "tiny-sft": lambda: LocalPolicy({"model": str(weights / "sft")}),
        "tiny-grpo": lambda: LocalPolicy({"model": str(weights / "grpo")}),
    }


def make_compared(name: str) -> tuple[str, Policy]:
    """A policy by its name, or `NAME=MODEL_FOLDER`.

    Raises:
        PolicyError: it is neither, or the model cannot be used.
    """
    label, equals, folder = name.partition("=")
    if equals:
        return label, LocalPolicy({"model": folder})
    known = known_policies()
    if name in PARTS and name not in known:
        return name, PartsPolicy({"parts": name})
    if name not in known:
        raise PolicyError(f"unknown policy {name!r}; known: {', '.join(known)}, or NAME=FOLDER of a trained model.")
    return name, known[name]()


@dataclass(frozen=True)
class PolicyComparison:
    """What is compared on what."""

    policies: Sequence[str]
    settings: TrainSettings
    out: Path
    tasks: int = 60
    seeds: int = 3


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def compare_policies(chosen: PolicyComparison, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play, or take over what was played, and write the table.

    Returns:
        What the JSON file holds; rounds per good sample are infinite without one, null in the file.
    Raises:
        PolicyError: a policy is unknown or cannot be used, none is named, or two have one name.
        RunError: the table cannot be written.
    """
    if not chosen.policies:
        raise PolicyError(f"there is nothing to compare: name a policy. Known: {', '.join(known_policies())}.")
    check_table(chosen.out)
    work = chosen.out.with_suffix(".work")
    work.mkdir(parents=True, exist_ok=True)
    records: dict[str, list[list[dict[str, Any]]]] = {}
    for name in chosen.policies:
        label, policy = make_compared(name)
        if label in records:
            raise PolicyError(f"two policies are called {label!r}; give each a name of its own: NAME=FOLDER.")
        who = _fingerprint(name)
        records[label] = [asyncio.run(_play_seed(chosen, label, policy, who, seed, work, tell)) for seed in range(chosen.seeds)]
    result = {
        "tasks": chosen.tasks,
        "seeds": chosen.seeds,
        "threshold": chosen.settings.tools().tools.quality_eval.threshold,
        "policies": {label: _summarize(runs) for label, runs in records.items()},
    }
    write_atomically(chosen.out.with_suffix(".json"), (json.dumps(_finite(result), indent=1) + "\n").encode())
    write_atomically(chosen.out, _table(result).encode())
    return result


async def _play_seed(
    chosen: PolicyComparison, label: str, policy: Policy, who: str, seed: int, work: Path, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    settings = chosen.settings
    practice = Practice(settings.practice, load_cards(settings.tools().knowledge.folders), Path(), settings.seed + seed)
    told_apart = [anomalyagent.__version__, who, settings.model_dump_json(), practice.identity, *_RATIOS]
    digest = hashlib.sha256("\n".join(told_apart).encode()).hexdigest()[:12]
    path = work / f"{label}-{seed}-{digest}.jsonl"
    done = _read(path)
    if len(done) >= chosen.tasks:
        return done[: chosen.tasks]
    tools = settings.tools()
    if rounds := getattr(policy, "rounds", None):
        tools = tools.model_copy(update={"limits": tools.limits.model_copy(update={"rounds": rounds})})
    judge = make_judge(settings.judge, tools)
    async with Environment(tools, work / f"room-{label}") as room:
        while len(done) < chosen.tasks:
            numbers = range(len(done), min(chosen.tasks, len(done) + BATCH))
            played = await play(room, policy, [practice.task(number, room) for number in numbers])
            fresh = [_record(trajectory, judge, settings.rewards, room) for trajectory in played]
            room.forget_images()
            done += fresh
            write_atomically(path, "".join(json.dumps(record) + "\n" for record in done).encode())
    good = sum(record["good"] for record in done)
    tell(f"{label}, seed {seed}: {good} of {len(done)} good, reward {np.mean([record['reward'] for record in done]):.3f}")
    return done


def _fingerprint(name: str) -> str:
    """Of a model's files: trained anew in the same folder, it is another policy. Of rules, that of nothing."""
    _, equals, model = name.partition("=")
    folder = Path(model).expanduser() if equals else shipped_model().parent / name.removeprefix("tiny-")
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return hashlib.sha256("".join(f"{path.name} {hash_file(path)}\n" for path in files).encode()).hexdigest()


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def _record(trajectory: Trajectory, judge: RewardJudge, weights: RewardWeights, room: Environment) -> dict[str, Any]:
    scores = judge.scores(trajectory, room.workspace)
    earned = reward(trajectory, scores, weights)
    rounds = read_progress(trajectory.turns).rounds
    first = rounds[:1]
    spec = first[0].result.spec if first else None
    return {
        "task": f"{trajectory.task.item_name}/{trajectory.task.anomaly_type}/{trajectory.task.index}",
        "good": int(trajectory.outcome == "accepted"),
        "first": int(bool(first) and first[0].passed),
        "score": trajectory.score or 0.0,
        "rounds": trajectory.rounds,
        "drawings": sum(one.result.drawings for one in rounds),
        "turns": len(trajectory.turns),
        "legal": sum(turn.legal for turn in trajectory.turns),
        "readable": sum(turn.action.kind != "malformed" for turn in trajectory.turns),
        "reward": earned.total,
        "task_term": earned.task,
        "reflection_term": earned.reflection,
        "behaviour_term": earned.behaviour,
        "seconds": sum(turn.seconds for turn in trajectory.turns),
        "area": spec.area_fraction if spec else None,
        "severity": spec.severity if spec else None,
    }


_RATIOS = {
    "good_rate": ("good", None),
    "first_round_rate": ("first", None),
    "score": ("score", None),
    "rounds_per_good": ("rounds", "good"),
    "drawings_per_good": ("drawings", "good"),
    "legal": ("legal", "turns"),
    "readable": ("readable", "turns"),
    "reward": ("reward", None),
    "task": ("task_term", None),
    "reflection": ("reflection_term", None),
    "behaviour": ("behaviour_term", None),
}


def _summarize(runs: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    records = [record for run in runs for record in run]
    estimates: dict[str, Any] = {}
    for name, (above, below) in _RATIOS.items():
        top = np.array([float(record[above]) for record in records])
        bottom = np.array([float(record[below]) if below else 1.0 for record in records])
        estimate = ratio_interval(top, bottom)
        estimates[name] = {
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "by_seed": [_ratio(run, above, below) for run in runs],
        }
    for name in ("area", "severity"):
        values = [np.log2(record[name]) for record in records if record[name]]
        estimates[f"{name}_spread"] = {"mean": float(np.std(values)) if values else 0.0}
    return estimates


def _finite(value: Any) -> Any:
    """Plain data with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(one) for one in cast("list[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ratio(run: Sequence[dict[str, Any]], above: str, below: str | None) -> float:
    bottom = sum(record[below] for record in run) if below else len(run)
    return float(sum(record[above] for record in run) / bottom) if bottom else float("inf")


def ratio_interval(top: Any, bottom: Any) -> Estimate:
    """sum(top) / sum(bottom) with its 95 % bootstrap interval over the pairs; infinite where nothing is below."""
    rng = np.random.default_rng(0)
    picks = rng.integers(len(top), size=(DRAWS, len(top)))
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.nan_to_num(top[picks].sum(axis=1) / bottom[picks].sum(axis=1), nan=np.inf, posinf=np.inf)
        mean = float(np.divide(top.sum(), bottom.sum())) if bottom.sum() else float("inf")
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest")
    return Estimate(mean, float(low), float(high))


_COLUMNS = (
    ("good samples", "good_rate", 100.0, "{:.1f} %"),
    ("in round 1", "first_round_rate", 100.0, "{:.1f} %"),
    ("rounds per good", "rounds_per_good", 1.0, "{:.2f}"),
    ("drawings per good", "drawings_per_good", 1.0, "{:.2f}"),
    ("final score", "score", 1.0, "{:.2f}"),
    ("legal", "legal", 100.0, "{:.1f} %"),
    ("readable", "readable", 100.0, "{:.1f} %"),
    ("reward", "reward", 1.0, "{:.3f}"),
    ("task", "task", 1.0, "{:.3f}"),
    ("reflection", "reflection", 1.0, "{:.3f}"),
    ("behaviour", "behaviour", 1.0, "{:.3f}"),
)


def _table(result: dict[str, Any]) -> str:
    head = "| policy | " + " | ".join(title for title, *_ in _COLUMNS) + " | spread of size, strength |"
    lines = [
        f"{result['tasks']} tasks a seed, {result['seeds']} seeds; a good sample has more than {result['threshold']:g} of 10. "
        "In brackets: 95 % bootstrap interval over all tasks. Spread: standard deviation of log2, of the first image's spec.",
        "",
        head,
        "|---" * (len(_COLUMNS) + 2) + "|",
    ]
    for label, values in result["policies"].items():
        cells: list[str] = []
        for _, name, scale, form in _COLUMNS:
            value = values[name]
            mean, low, high = (form.format(scale * value[key]) for key in ("mean", "low", "high"))
            cells.append(f"{mean} ({low.removesuffix(' %')} - {high.removesuffix(' %')})")
        spread = f"{values['area_spread']['mean']:.2f}, {values['severity_spread']['mean']:.2f}"
        lines.append(f"| {label} | {' | '.join(cells)} | {spread} |")
    return "\n".join(lines) + "\n"
