"""Prompts that a user picks in the assistant's menu, and completion of their arguments while they type.

Items and anomaly types are completed from the knowledge cards (the files, not the index), images from the workspace.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    Prompt,
    PromptReference,
    ResourceTemplateReference,
)
from pydantic import Field, ValidationError
from rapidfuzz import fuzz

from anomalyagent.mcp_tools.resources import Cards, Shelf
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["add_prompts", "explain_wrong_prompts"]

MOST_VALUES = 100
"""Values in one completion, as the protocol has it."""
_NEAR = 75.0
"""Likeness (0..100) from which a name counts as a misspelling of what was typed."""

Item = Annotated[str, Field(description="What the photos show, e.g. metal nut")]


def add_prompts(server: MCPServer[Any], cards: Cards, workspace: Workspace, shelves: Sequence[Shelf]) -> None:
    """Give `server`, which has all five tools, its prompts, and completion for them and for addresses of resources."""

    @server.prompt(title="Inspect a part")
    def inspect_part(  # pyright: ignore[reportUnusedFunction]
        image: Annotated[str, Field(description="Photo to inspect: path in the workspace")],
        normal_image: Annotated[str, Field(description="Photo of the same part without a defect, same size and view")],
        item_name: Item,
    ) -> str:
        """Find what differs between a photo and the good part, and say which defect it may be."""
        return (
            f"Inspect the {item_name} in {image!r} against the good part in {normal_image!r}.\n"
            f"1. mask_gen(normal_image={normal_image!r}, anomaly_image={image!r}, preview=true): where it visibly differs. "
            "If the mask is empty, say that no difference can be seen and stop.\n"
            "2. Look at the preview and name in a few words what each marked part looks like.\n"
            f"3. knowledge_retrieval(item_name={item_name!r}, anomaly_type=<your words>): which known defect fits, where it "
            "usually sits, and what causes it.\n"
            "4. Report for each part: box in pixels, share of the image, most likely defect and cause, and how sure you are. "
            "Say plainly what the tools did not show."
        )

    @server.prompt(title="Make a data set")
    def make_data_set(  # pyright: ignore[reportUnusedFunction]
        item_name: Item,
        anomaly_type: Annotated[str, Field(description="Defect in your words, e.g. scratch")],
        image: Annotated[str, Field(description="Photo of a good part: path in the workspace")],
        count: Annotated[str, Field(description="Samples wanted, e.g. 5")] = "5",
    ) -> str:
        """Make believable defects with their masks on a photo of a good part."""
        call = f"image={image!r}, item_name={item_name!r}, anomaly_type={anomaly_type!r}, seed=<0, 1, 2, ...>"
        return (
            f"Make {count} samples of '{anomaly_type}' on the {item_name} in {image!r}, each with its own seed.\n"
            f"If there is a tool `synthesize`: call synthesize({call}) for one seed after the other until {count} were "
            f"accepted; stop after three times as many calls.\n"
            f"Otherwise for each seed: prompt_gen({call}); image_gen with its prompt and spec; quality_eval; if it did not "
            "pass, change the spec as the findings say and call image_gen again on the original photo, at most 3 rounds; "
            "when it passed, mask_gen.\n"
            "At the end list image, mask and score of every accepted sample in a table, and say how many attempts were "
            "rejected and why."
        )

    @server.completion()
    async def complete(  # pyright: ignore[reportUnusedFunction]
        what: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion | None:
        given = (context.arguments if context else None) or {}
        address = what.uri if isinstance(what, ResourceTemplateReference) else ""
        known = await asyncio.to_thread(values_of, address, argument.name, given)
        found = _matching(argument.value, known)
        return Completion(values=found[:MOST_VALUES], total=len(found), has_more=len(found) > MOST_VALUES)

    def values_of(address: str, argument: str, given: dict[str, str]) -> Sequence[str]:
        for shelf in shelves:
            if address == shelf.address:
                return shelf.completed()
        if argument == "id":
            return [card.id for card in cards.all]
        if argument == "item_name":
            return _items(cards)
        if argument == "anomaly_type":
            return _types_of(cards, given.get("item_name", ""))
        return workspace.images() if argument in ("image", "normal_image", "path") else []


def explain_wrong_prompts(prompts: Callable[[], Awaitable[Sequence[Prompt]]]) -> ServerMiddleware[Any]:
    """Middleware: an unknown prompt, or wrong arguments for one, is the client's mistake and told as such.

    Args:
        prompts: what prompts/list answers.
    """

    async def explain(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        try:
            return await call_next(ctx)
        except ValidationError:
            raise
        except ValueError as error:  # all that the SDK raises here
            if ctx.method != "prompts/get":
                raise
            raise MCPError(code=INVALID_PARAMS, message=_mistake(await prompts(), ctx.params or {})) from error

    return explain


def _mistake(prompts: Sequence[Prompt], params: Mapping[str, Any]) -> str:
    """What does not fit in a call of prompts/get; names that the client sent are not repeated at length."""
    wanted = str(params.get("name"))[:60]
    prompt = next((one for one in prompts if one.name == wanted), None)
    if prompt is None:
        return (
            f"Unknown prompt {wanted!r}; prompts/list names {', '.join(one.name for one in prompts) or 'none on this server'}."
        )
    arguments, given = prompt.arguments or [], params.get("arguments") or {}
    missing = [one.name for one in arguments if one.required and one.name not in given]
    unknown = [name[:60] for name in given if name not in {one.name for one in arguments}]
    wrong = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown[:5])}"] * bool(unknown)
    described = "; ".join(f"{one.name} ({'' if one.required else 'optional, '}{one.description})" for one in arguments)
    what = f" ({'; '.join(wrong)})" if wrong else ""
    return f"The arguments of prompt {prompt.name} do not fit{what}. prompts/list names them, all texts: {described}."


def _items(cards: Cards) -> list[str]:
    """Listed items first, then materials."""
    return _words(card.item for card in sorted(cards.all, key=lambda card: card.is_general) if card.item != "any")


def _types_of(cards: Cards, item: str) -> list[str]:
    """Those of the item; of all items while none is named."""
    from anomalyagent.knowledge.cards import match_item, types_for_item

    named = types_for_item(cards.all, item) if match_item(cards.all, item) else cards.all
    return _words(card.anomaly_type for card in named)


def _words(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.replace("_", " ") for name in names))


def _matching(typed: str, known: Sequence[str]) -> list[str]:
    """What begins with `typed`, then what has it inside, then what is spelt almost so."""
    wanted = typed.strip().replace("_", " ").casefold()
    if not wanted:
        return list(known)
    shown = {name: name.replace("_", " ").casefold() for name in known}
    first = [name for name, plain in shown.items() if plain.startswith(wanted)]
    inside = [name for name, plain in shown.items() if wanted in plain and name not in first]
    return first + inside or [name for name, plain in shown.items() if fuzz.partial_ratio(wanted, plain) >= _NEAR]
