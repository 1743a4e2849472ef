"""A small stdio MCP server of mask_gen that goes wrong in the way its first argument says.

crash          ends in mid-call                      crash_once FLAG   so if it is the first one: the file FLAG was not there
hang           never answers and reads nothing       hang_once FLAG    likewise
slow           answers calls never, listings always
bad_result     a result that lies about its schema   no_output         no output schema
other_tool     has another tool                      other_input       wants an argument that nobody sends
silent         never answers anything                extra             adds fields of its own, and takes no `preview`
"""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel


class Mask(BaseModel):
    backend: str
    mask: str
    boxes_xyxy: list[list[int]]
    area_fraction: float
    confidence: float
    favourite_color: str = "green"


GOOD: dict[str, Any] = {"backend": "other", "mask": "m.png", "boxes_xyxy": [], "area_fraction": 0.0, "confidence": 1.0}


def go_wrong(way: str) -> None:
    if way.startswith("crash"):
        sys.stderr.write("out of memory, says the server\n")
        sys.stderr.flush()
        os._exit(3)
    if way.startswith("hang"):
        time.sleep(600)  # on the event loop: nothing is read any more


def main(way: str) -> None:
    if way == "silent":
        time.sleep(600)
    if way.endswith("_once"):  # decided here: a client that gives up early does not find a second one that goes wrong
        flag = Path(sys.argv[2])
        way = "good" if flag.exists() else way
        flag.write_text("")
    server = MCPServer("misbehaving", log_level="WARNING")

    async def mask_gen(normal_image: str, anomaly_image: str) -> Annotated[CallToolResult, Mask]:
        go_wrong(way)
        if way == "slow":
            await anyio.sleep_forever()
        content = [TextContent(type="text", text="done")]
        structured = GOOD | ({"area_fraction": 7.0} if way == "bad_result" else {"favourite_color": "blue"})
        return CallToolResult(content=[*content], structured_content=structured)

    async def mask_gen_of_three(normal_image: str, anomaly_image: str, depth_image: str) -> Mask:
        return Mask(**GOOD)

    async def mask_gen_in_words(normal_image: str, anomaly_image: str) -> str:
        return "the upper left corner"

    if way == "other_input":
        server.add_tool(mask_gen_of_three, name="mask_gen")
    elif way == "no_output":
        server.add_tool(mask_gen_in_words, name="mask_gen", structured_output=False)
    else:
        server.add_tool(mask_gen, name="segment" if way == "other_tool" else "mask_gen")
    server.run()


if __name__ == "__main__":
    main(sys.argv[1])
