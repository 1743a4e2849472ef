"""What the official conformance suite calls, on a server made by our factory and reached through our transport.

    python -m helpers.conformance_server WORKSPACE        says its address on stderr

The names and answers of the fixtures are given by the suite's scenarios. The server keeps sessions, because some of them
ask the client back.
"""

import base64
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from helpers.tiny_backends import tiny_settings
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
    UnsubscribeRequestParams,
)

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server
from anomalyagent.mcp_tools.toolbox import ContractTool, Extension, contract_tool
from anomalyagent.mcp_tools.transport import serve_http
from anomalyagent.mcp_tools.workspace import Workspace

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==")
WAV = b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x02\0\0\0\0\0"
AnyContext = Context[Any, Any]


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def resource(uri: str, words: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def result(*content: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(content))


async def test_simple_text() -> CallToolResult:
    """A text."""
    return result(text("This is a simple text response for testing."))


async def test_image_content() -> CallToolResult:
    """An image."""
    return result(image())


async def test_audio_content() -> CallToolResult:
    """A sound."""
    return result(AudioContent(type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav"))


async def test_embedded_resource() -> CallToolResult:
    """A resource in the answer."""
    return result(resource("test://embedded-resource", "This is an embedded resource content."))


async def test_multiple_content_types() -> CallToolResult:
    """Text, image and resource."""
    mixed = resource("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return result(text("Multiple content types test:"), image(), mixed)


async def test_tool_with_logging(ctx: AnyContext) -> CallToolResult:
    """Three log messages."""
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(words)  # pyright: ignore[reportDeprecated]
    return result(text("Three messages were logged."))


async def test_tool_with_progress(ctx: AnyContext) -> CallToolResult:
    """Three steps of progress."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
    return result(text("Three steps were made."))


async def test_error_handling() -> CallToolResult:
    """An error on purpose."""
    raise ToolInputError("This tool intentionally returns an error for testing")


async def test_sampling(prompt: str, ctx: AnyContext) -> CallToolResult:
    """Ask the client's model."""
    answer = await ctx.request_context.session.create_message(  # pyright: ignore[reportDeprecated]
        messages=[SamplingMessage(role="user", content=text(prompt))], max_tokens=100
    )
    return result(text(f"LLM response: {answer.content}"))


async def ask(ctx: AnyContext, message: str, properties: Mapping[str, Any], required: list[str]) -> str:
    schema = {"type": "object", "properties": properties, "required": required}
    answer = await ctx.request_context.session.elicit_form(message, schema, ctx.request_id)
    return f"action={answer.action}, content={answer.content}"


async def test_elicitation(message: str, ctx: AnyContext) -> CallToolResult:
    """Ask the user."""
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return result(text(f"User response: {await ask(ctx, message, fields, ['username', 'email'])}"))


async def test_elicitation_sep1034_defaults(ctx: AnyContext) -> CallToolResult:
    """Ask the user, with defaults."""
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return result(text(f"Elicitation completed: {await ask(ctx, 'Who are you?', fields, [])}"))


async def test_elicitation_sep1330_enums(ctx: AnyContext) -> CallToolResult:
    """Ask the user, with choices of every kind."""
    titled = [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)]
    plain = ["option1", "option2", "option3"]
    fields = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return result(text(f"Elicitation completed: {await ask(ctx, 'Choose.', fields, [])}"))


async def json_schema_2020_12_tool(name: str = "") -> CallToolResult:
    """Tool with JSON Schema 2020-12 features"""
    return result(text(name))


FIXTURES = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_tool_with_logging,
    test_tool_with_progress,
    test_error_handling,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    json_schema_2020_12_tool,
)


def fixture_tools() -> list[ContractTool]:
    tools = [contract_tool(each, title=each.__name__, annotations=ToolAnnotations()) for each in FIXTURES]
    strings = {"type": "string"}
    tools[-1].parameters = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {"type": "object", "properties": {"street": strings, "city": strings}}},
        "properties": {"name": strings, "address": {"$ref": "#/$defs/address"}},
        "additionalProperties": False,
    }
    return tools


@asynccontextmanager
async def nothing_open(_: object) -> AsyncGenerator[None]:
    yield


def add_resources_and_prompts(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:  # pyright: ignore[reportUnusedFunction]
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:  # pyright: ignore[reportUnusedFunction]
        """An image."""
        return PNG

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """A template."""
        return f'{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}'

    @server.prompt()
    def test_simple_prompt() -> str:  # pyright: ignore[reportUnusedFunction]
        """A prompt."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """A prompt with arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # pyright: ignore[reportUnusedFunction]
        """A prompt with a resource in it."""
        embedded = resource(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(embedded), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:  # pyright: ignore[reportUnusedFunction]
        """A prompt with an image in it."""
        return [UserMessage(image()), UserMessage("Please analyze the image above.")]

    async def done(*_: object) -> EmptyResult:
        await anyio.lowlevel.checkpoint()
        return EmptyResult()

    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, done)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, done)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, done)


def main(workspace: str) -> None:
    extension = Extension(fixture_tools(), nothing_open)
    server = build_server(TOOL_NAMES, tiny_settings(), Workspace(Path(workspace)), extension)
    add_resources_and_prompts(server)
    serve_http(server, port=0, stateless=False)


if __name__ == "__main__":
    main(sys.argv[1])
