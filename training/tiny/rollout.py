"""Many rollouts at once: one network writes the turns of all episodes side by side, and the live tools answer each.

Token ids, their ownership and their log-probabilities are recorded as they are drawn; nothing is tokenized again afterwards.
Sampling follows the grammar of legal turns, as at inference. Where the grammar leaves no choice, the tokens are not ours: the
policy neither chose them nor is rewarded for them. Where it leaves one, the likelihood is that among the allowed tokens, and
these are recorded too, so that learning computes the very same distribution.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from anomalyagent.configs.schema import SEEDS
from anomalyagent.graph.policies.local import token_bytes
from anomalyagent.graph.policies.local_grammar import Grammar, State, Vocabulary
from anomalyagent.graph.policies.local_plans import plans, write_planned
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Task, Trajectory
from anomalyagent.graph.wire import TURN_START, converse, read_turn, render
from anomalyagent.training.environment import Environment, Episode

__all__ = ["ParallelNetwork", "Rollout", "roll_out"]

_SHORT = 96
"""Tokens."""


@dataclass
class Rollout:
    """One episode as tokens: what was read and written, which of them we chose, from what, and how likely each was."""

    trajectory: Trajectory
    ids: list[int]
    own: list[bool]
    log_probs: list[float]
    allowed: list[list[int]]
    """For each token of ours, in order: the tokens that could have been chosen."""
    reward: float = 0.0
    advantage: float = 0.0
    terms: dict[str, float] = field(default_factory=dict[str, float])


class ParallelNetwork:
    """Next-token logits of many texts that grow; weights of a transformers Llama, keys and values kept.

    Args:
        model: LlamaForCausalLM.
        rows: texts side by side.
    """

    def __init__(self, model: Any, rows: int) -> None:
        config = model.config
        self._model, self._heads = model.model, int(config.num_attention_heads)
        self._size = int(config.hidden_size) // self._heads
        self._longest = int(config.max_position_embeddings)
        self._head = model.lm_head
        shape = (rows, self._heads, 512, self._size)
        self._memory = [(torch.zeros(shape), torch.zeros(shape)) for _ in self._model.layers]
        self.lengths = torch.zeros(rows, dtype=torch.long)

    @property
    def longest(self) -> int:
        """Most tokens of a text."""
        return self._longest

    @torch.no_grad()
    def feed(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read more tokens of each text (none for a text that rests).

        Returns:
            (rows, V) logits after the last token of each; meaningless for a text that rests.
        """
        reading = [row for row, part in enumerate(tokens) if part]
        found = torch.zeros(len(tokens), self._head.out_features)
        # a row that has much to read would make all others wait: short and long ones are read apart
        short = [row for row in reading if len(tokens[row]) <= _SHORT]
        for rows in (short, [row for row in reading if len(tokens[row]) > _SHORT]):
            if rows:
                found[rows] = self._feed(rows, [tokens[row] for row in rows])
        return found

    def _feed(self, rows: list[int], tokens: list[Sequence[int]]) -> torch.Tensor:
        every = len(rows) == len(self.lengths)
        picked = torch.tensor(rows)
        counts = torch.tensor([len(part) for part in tokens])
        width = int(counts.max())
        read = torch.tensor([[*part, *[0] * (width - len(part))] for part in tokens])
        positions = self.lengths[picked][:, None] + torch.arange(width)[None, :]
        end = min(int(positions.max()) + 1, self._longest)
        positions = positions.clamp(max=self._longest - 1)
        self._grow(end)
        hidden = self._model.embed_tokens(read)
        cos, sin = self._model.rotary_emb(hidden, positions)
        hides = torch.arange(end)[None, None, :] > positions[:, :, None]
        bias = torch.zeros(hides.shape).masked_fill(hides, float("-inf"))[:, None]
        for (keys, values), layer in zip(self._memory, self._model.layers, strict=True):
            normed, part = layer.input_layernorm(hidden), layer.self_attn
            query, key, value = (
                project(normed).view(len(rows), width, self._heads, self._size).transpose(1, 2)
                for project in (part.q_proj, part.k_proj, part.v_proj)
            )
            keys[picked[:, None], :, positions] = _rotated(key, cos, sin).transpose(1, 2)
            values[picked[:, None], :, positions] = value.transpose(1, 2)
            known = (keys[:, :, :end], values[:, :, :end]) if every else (keys[picked, :, :end], values[picked, :, :end])
            seen = torch.nn.functional.scaled_dot_product_attention(
                _rotated(query, cos, sin), known[0], known[1], attn_mask=bias
            )
            hidden = hidden + part.o_proj(seen.transpose(1, 2).reshape(len(rows), width, -1))
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        self.lengths[picked] += counts
        last = hidden[torch.arange(len(rows)), counts - 1]
        return self._head(self._model.norm(last)).float()

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these texts alone."""
        picked = torch.tensor(list(rows), dtype=torch.long)
        self._memory = [(keys[picked], values[picked]) for keys, values in self._memory]
        self.lengths = self.lengths[picked]

    def _grow(self, end: int) -> None:
        have = self._memory[0][0].shape[2]
        if end > have:
            more = min(self._longest, max(end, 2 * have)) - have
            self._memory = [
                (torch.nn.functional.pad(keys, (0, 0, 0, more)), torch.nn.functional.pad(values, (0, 0, 0, more)))
                for keys, values in self._memory
            ]


async def roll_out(
    model: Any,
    tokenizer: Any,
    environment: Environment,
    tasks: Sequence[Task],
    *,
    name: str,
    seed: int,
    temperature: float = 1.0,
    turn_tokens: int = 200,
) -> list[Rollout]:
    """Play every task once (a task may occur several times) with the network as the policy.

    Args:
        tokenizer: of the `tokenizers` library.
        name: of the policy in the trajectories.
        seed: of the sampling.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed % SEEDS)
    network = ParallelNetwork(model, len(tasks))
    episodes = [environment.start(task) for task in tasks]
    done = [Rollout(episode.trajectory(name), [], [], [], []) for episode in episodes]
    end = tokenizer.token_to_id("<|im_end|>")
    vocabulary = Vocabulary(token_bytes(tokenizer))
    break_ids: list[int] = tokenizer.encode("\n").ids
    alive = list(range(len(tasks)))
    unread = [_encode(tokenizer, render(converse(episode.view, system=False), start_turn=True)) for episode in episodes]
    while alive:
        for index, ids in zip(alive, unread, strict=True):
            _note(done[index], ids, own=False)
        writers = [_Writer(done[index], episodes[index].view) for index in alive]
        texts = _write(network, writers, unread, tokenizer, vocabulary, end, generator, temperature)
        said = [read_turn(text) for text in texts]
        before = [len(episodes[index].view.turns) for index in alive]
        await asyncio.gather(*(episodes[index].act(*one) for index, one in zip(alive, said, strict=True)))
        unread, kept = [], []
        for row, index in enumerate(alive):
            episode = episodes[index]
            if episode.done:
                continue
            ids = [*break_ids, *_encode(tokenizer, _news(episode, before[row]) + TURN_START)]
            if len(done[index].ids) + len(ids) + turn_tokens > network.longest:
                await episode.stop(f"the conversation is longer than the {network.longest} tokens that the model reads.")
                continue
            unread.append(ids)
            kept.append(row)
        if len(kept) < len(alive):
            network.keep(kept)
            alive = [alive[row] for row in kept]
    for rollout, episode in zip(done, episodes, strict=True):
        rollout.trajectory = episode.trajectory(name)
    return done


@dataclass
class _Writer:
    """One row's turn under way."""

    rollout: Rollout
    view: View
    grammar: Grammar = field(init=False)
    states: frozenset[State] = field(init=False)
    plan: bytes = b""
    turn: str = ""
    """The whole turn, once its plan is written."""

    def __post_init__(self) -> None:
        self.grammar = plans(self.view)
        self.states = self.grammar.start()

    def add(self, data: bytes) -> None:
        """What was written of the plan."""
        self.plan += data
        self.states = self.grammar.advance(self.states, data)


def _write(
    network: ParallelNetwork,
    writers: Sequence[_Writer],
    unread: Sequence[list[int]],
    tokenizer: Any,
    vocabulary: Vocabulary,
    end: int,
    generator: torch.Generator,
    temperature: float,
) -> list[str]:
    """One turn of every row; the tokens go to the rollouts, the texts are returned."""
    starts = [_what_must_follow(writer, tokenizer, end) for writer in writers]
    feeding: list[list[int]] = [[*ids, *start] for ids, start in zip(unread, starts, strict=True)]
    while True:
        logits = network.feed(feeding)
        if all(writer.turn for writer in writers):
            return [writer.turn for writer in writers]
        feeding = []
        for row, writer in enumerate(writers):
            if writer.turn:
                feeding.append([])
                continue
            choices = writer.grammar.allowed(writer.states, vocabulary)
            spread = torch.log_softmax(logits[row, choices] / temperature, dim=-1)
            pick = int(torch.multinomial(spread.exp(), 1, generator=generator))
            token = choices[pick]
            _note(writer.rollout, [token], own=len(choices) > 1, log_prob=float(spread[pick]))
            if len(choices) > 1:
                writer.rollout.allowed.append(choices)
            writer.add(vocabulary.data[token])
            feeding.append([token, *_what_must_follow(writer, tokenizer, end)])


def _what_must_follow(writer: _Writer, tokenizer: Any, end: int) -> list[int]:
    """Tokens up to the next choice; the plan's call and the end of the turn once the plan is written."""
    found: list[int] = []
    while forced := writer.grammar.forced(writer.states):
        found += _encode(tokenizer, forced.decode("utf-8", "surrogateescape"))
        writer.add(forced)
    if writer.grammar.complete(writer.states):
        writer.turn = write_planned(writer.view, writer.plan)
        found += [*_encode(tokenizer, writer.turn.removeprefix(writer.plan.decode())), end]
    _note(writer.rollout, found, own=False)
    return found


def _note(rollout: Rollout, ids: Sequence[int], *, own: bool, log_prob: float = 0.0) -> None:
    rollout.ids.extend(ids)
    rollout.own.extend([own] * len(ids))
    rollout.log_probs.extend([log_prob] * len(ids))


def _news(episode: Episode, turns_before: int) -> str:
    """What came back since: the messages after our last turn."""
    view = episode.view
    messages = converse(view, system=False)
    assert len(view.turns) == turns_before + 1
    return render(messages[-1:])


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text).ids)


def _rotated(part: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = part.shape[-1] // 2
    turned = torch.cat([-part[..., half:], part[..., :half]], dim=-1)
    return part * cos[:, None] + turned * sin[:, None]
