"""A client written with mcp 1.x makes a defect, step by step and with `synthesize`; runs in an environment of its own.

python mcp_1_client.py JSON-OF-TASK URL | COMMAND ARGS...        prints a report as JSON
"""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false

import asyncio
import base64
import json
import sys
from contextlib import AsyncExitStack

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


async def main() -> None:
    task, target = json.loads(sys.argv[1]), sys.argv[2:]
    named = {name: task[name] for name in ("item_name", "anomaly_type")}
    steps: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        steps.append(str(message).partition(":")[0])

    async with AsyncExitStack() as stack:
        if target[0].startswith("http://"):
            streams = await stack.enter_async_context(streamablehttp_client(target[0]))
        else:
            streams = await stack.enter_async_context(stdio_client(StdioServerParameters(command=target[0], args=target[1:])))
        session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
        hello = await session.initialize()
        tools = (await session.list_tools()).tools

        async def call(name, arguments, **options):
            answer = await session.call_tool(name, arguments, **options)
            assert not answer.isError, answer.content[0].text
            return answer

        prompt = (await call("prompt_gen", task)).structuredContent
        sent = {"image": task["image"], "prompt": prompt["prompt"], "spec": prompt["spec"], "preview": True}
        drawn = await call("image_gen", sent)
        pair = {"normal_image": task["image"], "anomaly_image": drawn.structuredContent["image"]}
        judged = await call("quality_eval", {**pair, **named})
        found = await call("knowledge_retrieval", named)
        masked = await call("mask_gen", pair)
        read = await session.read_resource("image://" + masked.structuredContent["mask"])
        made = await call("synthesize", task, progress_callback=hear)
        refused = await session.call_tool("mask_gen", {**pair, "normal_image": "../x.png"})
    report = {
        "revision": hello.protocolVersion,
        "tools": [tool.name for tool in tools],
        "kinds": [block.type for block in drawn.content],
        "score": judged.structuredContent["score"],
        "cards": len(found.structuredContent["cards"]),
        "mask": masked.structuredContent["mask"],
        "mask_bytes": len(base64.b64decode(read.contents[0].blob)),
        "steps": steps,
        "made": made.structuredContent,
        "refused": [refused.isError, refused.content[0].text],
    }
    print(json.dumps(report))  # noqa: T201


asyncio.run(main())
