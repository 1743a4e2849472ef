"""The `local` policy on Hugging Face transformers: any causal language model, on the GPU where there is one."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from anomalyagent.configs.schema import SEEDS
from anomalyagent.errors import PolicyError
from anomalyagent.graph.progress import View

__all__ = ["TransformersEngine", "draw_tokens", "loading"]


@contextmanager
def loading(model: str) -> Generator[None]:
    """What fails while the libraries and the model are loaded, as a PolicyError that says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise PolicyError(
            f"this model needs the Python module {error.name!r}. Run: pip install 'anomalyagent[train]'"
        ) from error
    except (OSError, ValueError) as error:
        raise PolicyError(f"the model {model!r} cannot be loaded: {error}") from error


def draw_tokens(model: Any, read: Mapping[str, Any], temperature: float, most: int, ends: list[int], seed: int) -> list[int]:
    """The tokens that a model writes after those it has read, from the whole distribution as in training.

    Args:
        read: what its tokenizer or processor returned for one conversation, on the model's device.
        temperature: 0: always the most probable token.
        most: tokens at the most.
        ends: marks at which it stops; the one that it wrote is among the tokens.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed % SEEDS)
        made = model.generate(
            **read,
            max_new_tokens=most,
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_k=0 if temperature > 0 else None,
            eos_token_id=ends,
            pad_token_id=ends[0],
        )
    return made[0, read["input_ids"].shape[1] :].tolist()


class TransformersEngine:
    """Writes turns with `generate`; unconstrained, an unreadable turn comes back to the model as an observation.

    Args:
        model: folder or id; an id is looked up in the local cache, and downloaded unless HF_HUB_OFFLINE is set.
    Raises:
        PolicyError: the libraries or the model are missing.
    """

    def __init__(self, model: str, temperature: float, max_new_tokens: int) -> None:
        with loading(model):
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
        self._model = self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._temperature, self._most = temperature, max_new_tokens
        # A turn ends where training ends one, or where the model is used to end: not every vocabulary knows the former.
        marks = (self._tokenizer.get_vocab().get("<|im_end|>"), self._tokenizer.eos_token_id)
        self._ends: list[int] = [mark for mark in dict.fromkeys(marks) if mark is not None]
        if not self._ends:
            raise PolicyError(
                f"the model {model!r} cannot write turns: its tokenizer has neither <|im_end|> nor an end of text."
            )
        self._longest: int | None = getattr(self._model.config, "max_position_embeddings", None)

    def write(self, view: View, text: str, seed: int) -> str:
        """The text of the next turn, without the mark of its end.

        Raises:
            PolicyError: the conversation is longer than the model can read.
        """
        del view
        read = self._tokenizer(text, return_tensors="pt", add_special_tokens=False).to(self._model.device)
        length = int(read["input_ids"].shape[1])
        if self._longest is not None and length + self._most > self._longest:
            raise PolicyError(
                f"the conversation has {length} tokens and a turn up to {self._most}; the model reads {self._longest}. Use a "
                "model that reads more, or lower policy.options.max_new_tokens or limits.rounds."
            )
        written = draw_tokens(self._model, read, self._temperature, self._most, self._ends, seed)
        if written and written[-1] in self._ends:
            written.pop()
        return str(self._tokenizer.decode(written, skip_special_tokens=False))
