"""GRPO for the tiny policy: groups of rollouts on the live tools, as in the paper, in one process on a CPU.

    step   8 tasks x 8 rollouts at temperature 1 -> rewards -> advantages inside each group -> one clipped policy-gradient
           update with a divergence penalty towards the SFT policy

Groups whose rewards are all equal are dropped; the step is filled up from a buffer of the last 128 rollouts that had an
advantage, whose likelihood ratios are clipped like all. Every step has its own seed, tasks and sampling, and a checkpoint holds
weights, optimizer and buffer, so a resumed training has the same curve. Why not TRL's trainer here: docs/decisions/.
Source: the paper, RL section; DeepSeekMath (arXiv 2402.03300) for GRPO.
"""

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from anomalyagent.errors import RunError
from anomalyagent.graph.files import alone_in
from anomalyagent.graph.policies.local import read_model_card
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Trajectory
from anomalyagent.training.checkpoint import keep_newest, newest, seal, verify
from anomalyagent.training.environment import Environment
from anomalyagent.training.judging import RewardJudge, make_judge
from anomalyagent.training.log import TrainingLog, plot_curves, read_log
from anomalyagent.training.rewards import RewardWeights, reward
from anomalyagent.training.settings import GRPOSettings, TrainSettings
from anomalyagent.training.tiny.collect import make_practice
from anomalyagent.training.tiny.model import save_policy
from anomalyagent.training.tiny.rollout import Rollout, roll_out
from anomalyagent.training.tiny.train import load_policy, make_card, sft_identity

__all__ = ["advantages", "grpo_identity", "run_grpo", "score_rollouts"]

_FIRST_TASK = 1_000_000
"""Tasks of GRPO are numbered from here, those of the teacher from 0: no task is practised twice."""
_EQUAL = 1e-6


def run_grpo(
    settings: TrainSettings, out: Path, tell: Callable[[str], None], *, name: str = "grpo", stop_after: int | None = None
) -> Path:
    """Train from the SFT policy in `out`, from the newest checkpoint if there is one.

    Args:
        name: folder of this training in `out`; ablations have several.
        stop_after: stop at this step, as a kill would (for tests of resuming).
    Returns:
        Folder of the policy.
    Raises:
        RunError: there is no SFT policy, `out` holds another training or a damaged checkpoint, or another process trains there.
    """
    with alone_in(out):
        return _run_grpo(settings, out, tell, name, stop_after)


def _run_grpo(settings: TrainSettings, out: Path, tell: Callable[[str], None], name: str, stop_after: int | None) -> Path:
    start = out / "sft" / "model"
    folder = out / name
    identity = grpo_identity(settings, start)
    target = folder / "model"
    card = read_model_card(target)
    if card is not None:
        if card.trained.get("identity") != identity:
            raise RunError(f"{target} was trained with another configuration. Give another --out, or delete it to train anew.")
        done = int(card.trained.get("steps", settings.grpo.steps))
        if done >= settings.grpo.steps:
            tell(f"{name} is done already, with {done} steps: {target}")
            return target
    model, reference = load_policy(start), load_policy(start).eval()
    tokenizer: Any = Tokenizer.from_file(str(start / "tokenizer.json"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.grpo.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    buffer: list[Rollout] = []
    step = 0
    checkpoint = newest(folder / "checkpoints")
    if checkpoint is not None:
        verify(checkpoint, identity)
        step = int(checkpoint.name.rpartition("-")[2])
        state: dict[str, Any] = torch.load(checkpoint / "state.pt", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        buffer = [_unpack(packed) for packed in state["buffer"]]
        tell(f"{name}: resumed at step {step}")
    log = TrainingLog(folder, step)
    last = settings.grpo.steps if stop_after is None else min(stop_after, settings.grpo.steps)
    learner = _Learner(settings, model, reference, optimizer, tokenizer, buffer)
    asyncio.run(_train(learner, folder, identity, log, step, last, tell, name))
    log.close()
    plot_curves(read_log(log.path), ["reward", "score", "rounds", "legal"], folder / "curves.png", name)
    if last == settings.grpo.steps:
        card = make_card(settings, "grpo", identity)
        save_policy(model, start, target, card.model_copy(update={"trained": {**card.trained, "steps": last}}))
        tell(f"{name}: {target}")
    return target


def grpo_identity(settings: TrainSettings, start: Path) -> dict[str, Any]:
    """What makes a GRPO training another one."""
    kept = settings.model_dump(mode="json", exclude={"grpo": {"save_every", "steps"}})
    weights = start / "model.safetensors"
    return {
        **sft_identity(settings),
        "grpo": hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16],
        "start": hashlib.sha256(weights.read_bytes()).hexdigest()[:16] if weights.is_file() else "",
    }


def advantages(rewards: Sequence[float]) -> list[float]:
    """Inside a group: how far each reward is from the mean, in standard deviations; all 0 when they are equal."""
    values = np.asarray(rewards, np.float64)
    spread = float(values.std())
    if spread < _EQUAL:
        return [0.0] * len(values)
    return [float(value) for value in (values - values.mean()) / (spread + 1e-4)]


def score_rollouts(rollouts: Sequence[Rollout], judge: RewardJudge, weights: RewardWeights, workspace: Path) -> None:
    """Fill in the reward of each and its terms."""
    for rollout in rollouts:
        earned = reward(rollout.trajectory, judge.scores(rollout.trajectory, workspace), weights)
        rollout.reward = earned.total
        rollout.terms = {"task": earned.task, "reflection": earned.reflection, "behaviour": earned.behaviour}


class _Learner:
    """What a step needs, and what it changes."""

    def __init__(
        self, settings: TrainSettings, model: Any, reference: Any, optimizer: Any, tokenizer: Any, buffer: list[Rollout]
    ) -> None:
        self.settings, self.model, self.reference = settings, model, reference
        self.optimizer, self.tokenizer, self.buffer = optimizer, tokenizer, buffer
        self.judge = make_judge(settings.judge, settings.tools())
        self.practice = make_practice(settings)

    async def step(self, number: int, room: Environment) -> dict[str, float]:
        """One step; returns what is logged."""
        chosen, clock = self.settings.grpo, time.perf_counter()
        first = _FIRST_TASK + number * chosen.tasks
        tasks = [self.practice.task(first + index, room) for index in range(chosen.tasks)]
        rollouts = await roll_out(
            self.model,
            self.tokenizer,
            room,
            [task for task in tasks for _ in range(chosen.rollouts)],
            name="tiny",
            seed=derive_seed(self.settings.seed, "rollout", number),
            temperature=chosen.temperature,
            turn_tokens=chosen.turn_tokens,
        )
        score_rollouts(rollouts, self.judge, self.settings.rewards, room.workspace)
        room.forget_images()
        played_s = time.perf_counter() - clock
        useful: list[Rollout] = []
        for start in range(0, len(rollouts), chosen.rollouts):
            group = rollouts[start : start + chosen.rollouts]
            for rollout, value in zip(group, advantages([one.reward for one in group]), strict=True):
                rollout.advantage = value
            useful += [rollout for rollout in group if rollout.advantage]
        missing = len(rollouts) - len(useful)
        rng = np.random.default_rng(derive_seed(self.settings.seed, "replay", number))
        picks = rng.permutation(len(self.buffer))[:missing]
        replayed = [self.buffer[int(pick)] for pick in picks]
        learned = self._learn([*useful, *replayed])
        self.buffer = [*self.buffer, *useful][-chosen.replay :] if chosen.replay else []
        return {
            **_summary(rollouts),
            "dropped": missing / len(rollouts),
            "replayed": float(len(replayed)),
            **learned,
            "seconds_rollout": played_s,
            "seconds": time.perf_counter() - clock,
        }

    def _learn(self, rollouts: list[Rollout]) -> dict[str, float]:
        chosen = self.settings.grpo
        if not rollouts:
            return {}
        self.model.train()
        self.optimizer.zero_grad()
        total = sum(sum(rollout.own) for rollout in rollouts)
        losses, divergences, clipped = 0.0, 0.0, 0.0
        ordered = sorted(rollouts, key=lambda rollout: len(rollout.ids))
        for start in range(0, len(ordered), chosen.micro_batch):
            loss, divergence, cut = _loss(self.model, self.reference, ordered[start : start + chosen.micro_batch], chosen)
            (loss / total).backward()
            losses += float(loss.detach())
            divergences += divergence
            clipped += cut
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {"loss": losses / total, "kl": divergences / total, "clipped": clipped / total, "grad_norm": float(norm)}


def _loss(model: Any, reference: Any, batch: Sequence[Rollout], chosen: GRPOSettings) -> tuple[torch.Tensor, float, float]:
    """Sum over our tokens of the clipped objective and the divergence."""
    longest = max(len(rollout.ids) for rollout in batch)
    ids = torch.tensor([rollout.ids + [0] * (longest - len(rollout.ids)) for rollout in batch])
    own = torch.tensor([rollout.own + [False] * (longest - len(rollout.own)) for rollout in batch])[:, 1:]
    old = torch.tensor([rollout.log_probs + [0.0] * (longest - len(rollout.ids)) for rollout in batch])[:, 1:][own]
    gain = torch.tensor([rollout.advantage for rollout in batch])[:, None].expand_as(own)[own]
    wanted = ids[:, 1:][own]
    choices = [choice for rollout in batch for choice in rollout.allowed]
    now = _log_probs(model, ids, own, wanted, choices, chosen.temperature)
    with torch.no_grad():
        before = _log_probs(reference, ids, own, wanted, choices, chosen.temperature)
    ratio = torch.exp(now - old)
    limited = ratio.clamp(1.0 - chosen.clip, 1.0 + chosen.clip)
    surrogate = torch.minimum(ratio * gain, limited * gain)
    difference = before - now
    divergence = torch.exp(difference) - difference - 1.0  # always >= 0, right on average (Schulman's k3)
    cut = float((ratio * gain > limited * gain).detach().float().sum())
    return (chosen.kl * divergence - surrogate).sum(), float(divergence.sum().detach()), cut


def _log_probs(
    model: Any, ids: torch.Tensor, own: torch.Tensor, wanted: torch.Tensor, choices: Sequence[list[int]], temperature: float
) -> torch.Tensor:
    """Of the tokens that we chose, among those that could have been chosen."""
    hidden = model.model(input_ids=ids).last_hidden_state  # padding is on the right, and no token looks ahead
    logits = model.lm_head(hidden[:, :-1][own]).float() / temperature
    hides = torch.ones_like(logits, dtype=torch.bool)
    for row, choice in enumerate(choices):
        hides[row, choice] = False
    logits = logits.masked_fill(hides, float("-inf"))
    return torch.log_softmax(logits, dim=-1).gather(1, wanted[:, None])[:, 0]


def _summary(rollouts: Sequence[Rollout]) -> dict[str, float]:
    turns = [turn for rollout in rollouts for turn in rollout.trajectory.turns]

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if values else 0.0

    return {
        "reward": mean([rollout.reward for rollout in rollouts]),
        "reward_std": float(np.std([rollout.reward for rollout in rollouts])),
        **{
            f"reward_{name}": mean([rollout.terms[name] for rollout in rollouts])
            for name in ("task", "reflection", "behaviour")
        },
        "score": mean([rollout.trajectory.score or 0.0 for rollout in rollouts]),
        "accepted": mean([float(rollout.trajectory.outcome == "accepted") for rollout in rollouts]),
        "rounds": mean([float(rollout.trajectory.rounds) for rollout in rollouts]),
        "legal": mean([float(turn.legal) for turn in turns]),
        "readable": mean([float(turn.action.kind != "malformed") for turn in turns]),
        "tokens": mean([float(sum(rollout.own)) for rollout in rollouts]),
    }


async def _train(
    learner: _Learner,
    folder: Path,
    identity: dict[str, Any],
    log: TrainingLog,
    first: int,
    last: int,
    tell: Callable[[str], None],
    name: str,
) -> None:
    chosen = learner.settings.grpo
    async with Environment(learner.settings.tools(), folder / "room") as room:
        for step in range(first, last):
            values = await learner.step(step, room)
            log.add(step, values)
            tell(
                f"{name} {step + 1}/{chosen.steps}: reward {values['reward']:.3f}, score {values['score']:.2f}, rounds "
                f"{values['rounds']:.2f}, legal {100 * values['legal']:.1f} %, {values['seconds']:.0f} s"
            )
            if (step + 1) % chosen.save_every == 0 or step + 1 == chosen.steps:
                _save(learner, folder / "checkpoints", step + 1, identity)


def _save(learner: _Learner, folder: Path, step: int, identity: dict[str, Any]) -> None:
    target = folder / f"step-{step:05d}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    state = {
        "model": learner.model.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "buffer": [_pack(rollout) for rollout in learner.buffer],
    }
    torch.save(state, target / "state.pt")
    seal(target, identity)
    keep_newest(folder, 2)


def _pack(rollout: Rollout) -> dict[str, Any]:
    return {
        "trajectory": rollout.trajectory.model_dump_json(),
        "ids": rollout.ids,
        "own": rollout.own,
        "log_probs": rollout.log_probs,
        "allowed": rollout.allowed,
        "advantage": rollout.advantage,
    }


def _unpack(packed: dict[str, Any]) -> Rollout:
    return Rollout(
        trajectory=Trajectory.model_validate_json(packed["trajectory"]),
        ids=packed["ids"],
        own=packed["own"],
        log_probs=packed["log_probs"],
        allowed=packed["allowed"],
        advantage=packed["advantage"],
    )
