"""Console scripts that start a server and nothing else: `anomalyagent-mcp`, and one for each tool (`anomalyagent-mask-gen`).

The same as `anomalyagent mcp serve`, with fewer words for `uvx --from anomalyagent anomalyagent-mcp --workspace DIR`.
"""

import sys

from anomalyagent.mcp_tools import server

__all__ = ["image_gen", "knowledge_retrieval", "mask_gen", "mcp", "prompt_gen", "quality_eval"]


def mcp() -> None:
    """All five tools and `synthesize`."""
    from anomalyagent.graph.mcp_synthesize import extend_with_synthesis

    sys.exit(server.main(["all", *sys.argv[1:]], extend_with_synthesis))


def prompt_gen() -> None:
    """prompt_gen alone."""
    sys.exit(server.main(["prompt_gen", *sys.argv[1:]]))


def image_gen() -> None:
    """image_gen alone."""
    sys.exit(server.main(["image_gen", *sys.argv[1:]]))


def quality_eval() -> None:
    """quality_eval alone."""
    sys.exit(server.main(["quality_eval", *sys.argv[1:]]))


def knowledge_retrieval() -> None:
    """knowledge_retrieval alone."""
    sys.exit(server.main(["knowledge_retrieval", *sys.argv[1:]]))


def mask_gen() -> None:
    """mask_gen alone."""
    sys.exit(server.main(["mask_gen", *sys.argv[1:]]))
