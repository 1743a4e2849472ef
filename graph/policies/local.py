"""`local`: a model on this machine, in the paper's text format: the shipped tiny one, or one of your own training.

    policy:
      name: local
      options:
        model: PATH_OR_ID      unset: the tiny policy that ships with the project
        engine: auto           numpy (tiny models, no library needed) | transformers | auto: numpy where it fits
        temperature: 0.25      0: always the likeliest token; what is drawn follows from the task's seed and the turn

The tiny policy writes plans, one line each (`local_plans`), inside the grammar of those that the rules allow; the calls follow
from them. A folder that `anomalyagent train` wrote holds `policy.json`: how its conversations begin, and the tools and trace
version that it was trained for. A model for other ones is refused. Anything else is a Hugging Face model and gets the full
system message.
"""

from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.base import Decision, wrong_option
from anomalyagent.graph.policies.local_grammar import Vocabulary
from anomalyagent.graph.policies.local_network import Network
from anomalyagent.graph.policies.local_plans import plans, write_planned
from anomalyagent.graph.progress import View
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import SCHEMA_VERSION
from anomalyagent.graph.wire import converse, read_turn, render, tools_digest

__all__ = ["LocalPolicy", "ModelCard", "read_model_card", "shipped_model", "token_bytes"]


class ModelCard(BaseModel):
    """`policy.json`: what a model was trained for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["plans", "chat"] = Field(
        description="plans: writes plans, begins without a system message, numpy can run it. chat: writes whole turns."
    )
    tools_sha256: str = Field(description="`graph.wire.tools_digest()` when it was trained.")
    trace_version: int
    stage: str = Field(description="sft or grpo.")
    trained: dict[str, Any] = Field(default_factory=dict, description="Command, seed, steps, versions: for the reader.")


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    engine: Literal["auto", "numpy", "transformers"] = "auto"
    temperature: float = Field(default=0.25, ge=0, le=5)
    max_new_tokens: int = Field(default=1024, ge=16)


class Engine(Protocol):
    """Writes one turn."""

    def write(self, view: View, text: str, seed: int) -> str: ...


def shipped_model() -> Path:
    """Folder of the tiny policy that ships with the project."""
    return Path(str(resources.files("anomalyagent.graph.policies") / "weights" / "grpo"))


def read_model_card(folder: Path) -> ModelCard | None:
    """`policy.json` of a model's folder; None when it has none.

    Raises:
        PolicyError: it is damaged, or the model was trained for other tools or another trace version.
    """
    path = folder / "policy.json"
    if not path.is_file():
        return None
    try:
        card = ModelCard.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValidationError) as error:
        raise PolicyError(f"{path} cannot be used: {error}. Train or fetch the model anew.") from error
    if card.trace_version != SCHEMA_VERSION:
        raise PolicyError(
            f"the model in {folder} was trained on traces of version {card.trace_version}; this program has version "
            f"{SCHEMA_VERSION}. Train it anew, or use the anomalyagent version that trained it."
        )
    if card.tools_sha256 != tools_digest():
        raise PolicyError(
            f"the model in {folder} was trained for other tools (schema {card.tools_sha256}; now {tools_digest()}): its calls "
            "would not fit. Train it anew, or use the anomalyagent version that trained it."
        )
    return card


def _model_inside(folder: Path) -> Path | None:
    """The best model of a training whose folder was given in its place."""
    if (folder / "config.json").exists():
        return None
    inside = (folder / name for name in ("model", "grpo/model", "sft/model"))
    return next((one for one in inside if (one / "config.json").exists()), None)


class LocalPolicy:
    """See module docstring.

    Raises:
        PolicyError: unknown options, or a model that cannot be used.
    """

    name = "local"

    def __init__(self, options: dict[str, Any]) -> None:
        try:
            self._options = _Options.model_validate(options)
        except ValidationError as error:
            raise wrong_option(error, _Options, "the local policy") from error
        named = self._options.model
        folder = shipped_model() if named is None else expand_home(named)
        card = read_model_card(folder) if folder.is_dir() else None
        if named is not None and not folder.is_dir() and named.startswith((".", "/", "~")):
            raise PolicyError(f"policy.options.model {named!r} is not a folder. Name the folder of a trained model, or an id.")
        if card is None and folder.is_dir() and (inside := _model_inside(folder)) is not None:
            raise PolicyError(f"{folder} holds no model itself, but a training. Name the model that it made: {inside}")
        planning = card is not None and card.kind == "plans"
        self._system = not planning
        engine = self._options.engine if self._options.engine != "auto" else ("numpy" if planning else "transformers")
        if engine == "numpy":
            self._engine: Engine = _NumpyEngine(folder, self._options)
        else:
            from anomalyagent.graph.policies.local_transformers import TransformersEngine
            from anomalyagent.graph.policies.local_vision import SeeingEngine, is_seeing

            model = str(folder) if folder.is_dir() else str(named)
            kind = SeeingEngine if is_seeing(model) else TransformersEngine
            self._engine = kind(model, self._options.temperature, self._options.max_new_tokens)

    async def decide(self, view: View) -> Decision:
        """The next turn; unreadable text of a model that writes whole turns is a `Malformed` action.

        Raises:
            PolicyError: the model cannot go on.
        """
        text = render(converse(view, system=self._system), start_turn=True)
        said = read_turn(self._engine.write(view, text, derive_seed(view.task.seed, "policy", len(view.turns))))
        return Decision(said.thought, said.action)


class _NumpyEngine:
    def __init__(self, folder: Path, options: _Options) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises plain Exceptions
            raise PolicyError(f"{folder / 'tokenizer.json'} cannot be read: {error}. Train or fetch the model anew.") from error
        self._network = Network(folder)
        self._options = options
        self._vocabulary = Vocabulary(token_bytes(self._tokenizer))

    def write(self, view: View, text: str, seed: int) -> str:
        grammar = plans(view)
        states = grammar.start()
        rng = np.random.default_rng(seed)
        tokens = self._tokens(view, text)
        written = b""
        limit = min(len(tokens) + self._options.max_new_tokens, self._network.longest)
        while len(tokens) < limit:
            forced = grammar.forced(states)
            if forced:  # no choice, so no question to the model; in the tokens that it was trained on
                tokens += self._tokenizer.encode(forced.decode("utf-8", "surrogateescape")).ids
                states = grammar.advance(states, forced)
                written += forced
            elif grammar.complete(states):
                return write_planned(view, written)
            else:
                token = self._draw(self._network.logits(tokens), grammar.allowed(states, self._vocabulary), rng)
                states = grammar.advance(states, self._vocabulary.data[token])
                written += self._vocabulary.data[token]
                tokens.append(token)
        raise PolicyError(
            f"the conversation has {len(tokens)} tokens and its next turn did not end; the model reads {self._network.longest}."
        )

    def _tokens(self, view: View, text: str) -> list[int]:
        """Of the conversation; of one that fills the model without the oldest turns, so that half of it is free again.

        What may be done, and what a plan does, follows from the whole conversation all the same.
        """
        tokens: list[int] = list(self._tokenizer.encode(text).ids)
        if len(tokens) + self._options.max_new_tokens <= self._network.longest:
            return tokens
        for forgotten in range(1, len(view.turns)):
            shorter = render(converse(view, system=False, forgotten=forgotten), start_turn=True)
            tokens = list(self._tokenizer.encode(shorter).ids)
            if len(tokens) <= self._network.longest // 2:
                break
        return tokens

    def _draw(self, logits: Any, allowed: list[int], rng: np.random.Generator) -> int:
        """One of the allowed tokens, or the likeliest."""
        if not allowed:
            raise PolicyError("no token of the model's vocabulary goes on here. Train it anew.")
        if self._options.temperature == 0:
            return allowed[int(np.argmax(logits[allowed]))]
        noise = rng.gumbel(size=len(allowed))
        return allowed[int(np.argmax(logits[allowed] / self._options.temperature + noise))]


def token_bytes(tokenizer: Any) -> list[bytes]:
    """What each token of a byte-level tokenizer stands for; of an added token its text."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = dict(zip(map(chr, printable), printable, strict=True))
    letters |= {chr(256 + n): byte for n, byte in enumerate(byte for byte in range(256) if byte not in printable)}
    added = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items()}
    found: list[bytes] = []
    for number in range(tokenizer.get_vocab_size()):
        if number in added:
            found.append(added[number].encode())
        else:
            found.append(bytes(letters[letter] for letter in tokenizer.id_to_token(number)))
    return found
