"""The `local` policy on Hugging Face transformers: any causal language model, on the GPU where there is one."""

from typing import Any

from anomalyagent.errors import PolicyError
from anomalyagent.graph.progress import View

__all__ = ["TransformersEngine"]


class TransformersEngine:
    """Writes turns with `generate`; unconstrained, an unreadable turn comes back to the model as an observation.

    Args:
        model: folder or id; an id is looked up in the local cache, and downloaded unless HF_HUB_OFFLINE is set.
    Raises:
        PolicyError: the libraries or the model are missing.
    """

    def __init__(self, model: str, temperature: float, max_new_tokens: int) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ModuleNotFoundError as error:
            raise PolicyError(
                f"this model needs the Python module {error.name!r}. Run: pip install 'anomalyagent[train]'"
            ) from error
        self._torch = torch
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
        except (OSError, ValueError) as error:
            raise PolicyError(f"the model {model!r} cannot be loaded: {error}") from error
        self._model = self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._temperature, self._most = temperature, max_new_tokens
        self._end = self._tokenizer.convert_tokens_to_ids("<|im_end|>")

    def write(self, view: View, text: str, seed: int) -> str:
        """The text of the next turn."""
        del view
        read = self._tokenizer(text, return_tensors="pt", add_special_tokens=False).to(self._model.device)
        with self._torch.random.fork_rng():
            self._torch.manual_seed(seed % 2**63)
            made = self._model.generate(
                **read,
                max_new_tokens=self._most,
                do_sample=self._temperature > 0,
                temperature=self._temperature or None,
                top_k=0 if self._temperature > 0 else None,
                eos_token_id=self._end,
                pad_token_id=self._end,
            )
        return str(self._tokenizer.decode(made[0, read["input_ids"].shape[1] :], skip_special_tokens=False))
