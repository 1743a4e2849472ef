"""Console scripts that start a server and nothing else: `anomalyagent-mcp`, and one for each tool (`anomalyagent-mask-gen`).

The same as `anomalyagent mcp serve`, with fewer words for `uvx --from anomalyagent anomalyagent-mcp --workspace DIR`.
"""

import sys
from pathlib import Path
from typing import NoReturn

from anomalyagent.mcp_tools import server

__all__ = ["image_gen", "knowledge_retrieval", "mask_gen", "mcp", "prompt_gen", "quality_eval"]


def mcp() -> None:
    """All five tools and `synthesize`."""
    from anomalyagent.graph.mcp_synthesize import extend_with_synthesis

    sys.exit(server.main(sys.argv[1:], extend_with_synthesis, program=_program(), tool="all"))


def prompt_gen() -> None:
    """prompt_gen alone."""
    _serve("prompt_gen")


def image_gen() -> None:
    """image_gen alone."""
    _serve("image_gen")


def quality_eval() -> None:
    """quality_eval alone."""
    _serve("quality_eval")


def knowledge_retrieval() -> None:
    """knowledge_retrieval alone."""
    _serve("knowledge_retrieval")


def mask_gen() -> None:
    """mask_gen alone."""
    _serve("mask_gen")


def _serve(tool: str) -> NoReturn:
    sys.exit(server.main(sys.argv[1:], program=_program(), tool=tool))


def _program() -> str:
    return Path(sys.argv[0]).name
