"""What a call of a hosted model used, and what that costs by the price table of the settings.

    prices:                                       # US dollars for a million tokens, or for each picture or request
      gemini-3.1-flash-image: {input: 0.5, output: 3, image_output: 60}
      my-own-server: {}                           # costs nothing

A hosted model without a price is refused: a bill that nobody adds up is worse than a line in a config file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.errors import BackendUnavailableError
from anomalyagent.mcp_tools.remote.options import is_on_this_machine

__all__ = ["FREE", "Usage", "cost_of", "find_price"]

FREE = ModelPrice()


@dataclass(frozen=True)
class Usage:
    """What was used.

    Attributes:
        input_tokens: all of them; `cached_tokens` and `image_input_tokens` are parts of it.
        output_tokens: all of them, thoughts included; `image_output_tokens` is a part of it.
        images: pictures made.
        requests: answered requests.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    image_output_tokens: int = 0
    images: int = 0
    requests: int = 0

    @property
    def tokens(self) -> int:
        """In and out."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Usage)))


def cost_of(usage: Usage, price: ModelPrice) -> float:
    """US dollars."""
    cached = price.input if price.cached_input is None else price.cached_input
    image_input = price.input if price.image_input is None else price.image_input
    image_output = price.output if price.image_output is None else price.image_output
    # A token may be both cached and of an image; services report the two apart, so it counts as cached, the cheaper.
    of_images = min(usage.image_input_tokens, usage.input_tokens - usage.cached_tokens)
    plain = usage.input_tokens - usage.cached_tokens - of_images
    tokens = (
        plain * price.input
        + usage.cached_tokens * cached
        + of_images * image_input
        + (usage.output_tokens - usage.image_output_tokens) * price.output
        + usage.image_output_tokens * image_output
    )
    return tokens / 1e6 + usage.images * price.per_image + usage.requests * price.per_request


def find_price(prices: Mapping[str, ModelPrice], model: str, base_url: str | None, who: str) -> ModelPrice:
    """The price of a model: its name, its name without `provider:`, or the longest pattern that fits.

    Raises:
        BackendUnavailableError: there is none, and the model is not on this machine.
    """
    names = (model, model.partition(":")[2] or model)
    for name in names:
        if name in prices:
            return prices[name]
    fitting = [pattern for pattern in prices if any(fnmatchcase(name, pattern) for name in names)]
    if fitting:
        return prices[max(fitting, key=len)]
    if is_on_this_machine(base_url):
        return FREE
    raise BackendUnavailableError(
        f"{who}: the price of '{names[1]}' is not known, so its cost could not be told. Add it to your config with the figures "
        "of its provider, in US dollars for a million tokens or per_image:  "
        f'prices: {{"{names[1]}": {{input: 1.0, output: 5.0}}}}  ({{}} when it costs nothing).'
    )
