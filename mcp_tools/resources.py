"""What a client can read besides calling tools: images and masks of the workspace, small previews, knowledge cards.

    image://photos/nut.png      as PNG, whatever the file is; preview:// the same as a JPEG of at most 768 px and 200 kB
    card://mvtec/bottle/crack   what is known about one defect of one item

A layer above adds its own shelves (trajectories, the run). Images and what those shelves hold are listed, in pages; cards
are found with knowledge_retrieval, or by completing their id.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Resource

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import AnomalyAgentError, WorkspaceError
from anomalyagent.mcp_tools.answer_limits import MAX_ANSWER_BYTES
from anomalyagent.mcp_tools.answers import preview_of
from anomalyagent.mcp_tools.workspace import Workspace, uri_of

if TYPE_CHECKING:  # loads the arrays
    from anomalyagent.knowledge.cards import Card

__all__ = ["Cards", "Shelf", "ShelvedServer", "add_resources"]

_MOST_IMAGES = 20_000
_T = TypeVar("_T")


class Shelf(NamedTuple):
    """Resources of one kind: those to be listed, and how one is read by the name in its address."""

    address: str
    """`trajectory://{+id}`, or one without a variable."""
    title: str
    description: str
    read: Callable[[str], str]
    entries: Callable[[], Sequence[Resource]]
    completed: Callable[[], Sequence[str]]


class ShelvedServer(MCPServer[Any]):
    """A server whose list of resources is what is there at the moment."""

    shelves: "Sequence[Callable[[], Sequence[Resource]]]" = ()

    async def list_resources(self) -> list[Resource]:
        """What is on the shelves, in an order that stays when something is added."""
        listed = await super().list_resources()
        for entries in self.shelves:
            listed += await asyncio.to_thread(entries)
        return listed


class Cards:
    """The knowledge cards, read when they are first asked for."""

    def __init__(self, knowledge: KnowledgeSettings) -> None:
        self._knowledge = knowledge

    @cached_property
    def all(self) -> "Sequence[Card]":
        from anomalyagent.knowledge.cards import load_cards

        return load_cards(self._knowledge.folders)

    def text_of(self, id: str) -> str:
        """One card, as JSON.

        Raises:
            ResourceNotFoundError: there is none of that id.
        """
        for card in self.all:
            if card.id == id:
                return json.dumps(card.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False, indent=1)
        raise ResourceNotFoundError(f"no knowledge card {id[:200]!r}. knowledge_retrieval names the ids of those that fit.")


def add_resources(server: ShelvedServer, workspace: Workspace, cards: Cards | None, shelves: Sequence[Shelf]) -> None:
    """Give `server` its resources; without `cards` none of the knowledge."""

    @server.resource("image://{+path}", name="image", title="Image of the workspace", mime_type="image/png")
    async def image(path: str) -> bytes:  # pyright: ignore[reportUnusedFunction]
        """An image or mask of the workspace, by reference, as PNG."""
        data = await _read(lambda: workspace.read_png(path))
        if len(data) * 4 / 3 > MAX_ANSWER_BYTES:
            raise ResourceError(
                f"{path[:200]!r} has {len(data):,} bytes as PNG, too many for one answer. Read preview://{path[:200]} for a "
                "small picture of it, or open the file in the workspace."
            )
        return data

    @server.resource("preview://{+path}", name="preview", title="Small picture of an image", mime_type="image/jpeg")
    async def preview(path: str) -> bytes:  # pyright: ignore[reportUnusedFunction]
        """An image of the workspace as JPEG, at most 768 px a side and 200 kB."""
        return await _read(lambda: preview_of(workspace.read_photo(path)))

    if cards is not None:

        @server.resource("card://{+id}", name="card", title="Knowledge card", mime_type="application/json")
        async def card(id: str) -> str:  # pyright: ignore[reportUnusedFunction]
            """What is known about one defect of one item: look, cause, place, ranges for the spec."""
            return await _read(lambda: cards.text_of(id))

    for shelf in shelves:
        _add_shelf(server, shelf)
    server.shelves = [*(shelf.entries for shelf in shelves), lambda: _images(workspace)]


def _add_shelf(server: ShelvedServer, shelf: Shelf) -> None:
    async def named(id: str) -> str:
        return await _read(lambda: shelf.read(id))

    async def alone() -> str:
        return await named("")

    register = server.resource(
        shelf.address,
        name=shelf.address.partition(":")[0],
        title=shelf.title,
        description=shelf.description,
        mime_type="application/json",
    )
    register(named if "{" in shelf.address else alone)


async def _read(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except WorkspaceError as error:
        raise ResourceNotFoundError(str(error)) from error
    except AnomalyAgentError as error:
        raise ResourceError(str(error)) from error


def _images(workspace: Workspace) -> list[Resource]:
    return [Resource(uri=uri_of(ref), name=ref, mime_type="image/png") for ref in workspace.images(_MOST_IMAGES)]
