"""The embedded configuration, whole, in a process of its own: no torch, no connection to anywhere."""

import json
import subprocess
import sys
from pathlib import Path

from helpers.raw_mcp import environment
from helpers.workspaces import make_workspace

SCRIPT = """
import asyncio, json, socket, sys
from pathlib import Path

attempts = []

def guarded(name):
    original = getattr(socket.socket, name)
    def checked(self, address, *rest):
        host = address[0] if isinstance(address, tuple) else None
        if self.family != getattr(socket, "AF_UNIX", None) and host not in ("127.0.0.1", "::1", "localhost"):
            attempts.append(repr(address))
            raise PermissionError(f"no connection to {address} is allowed")
        return original(self, address, *rest)
    setattr(socket.socket, name, checked)

for name in ("connect", "connect_ex", "sendto"):
    guarded(name)
look_up = socket.getaddrinfo
def resolved(host, *rest, **named):
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        attempts.append(repr(host))
        raise socket.gaierror(f"{host} may not be looked up")
    return look_up(host, *rest, **named)
socket.getaddrinfo = resolved

from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.mcp_tools.client import ToolClient

async def main(root):
    settings = Settings(knowledge=KnowledgeSettings(cache_dir=root / "cache"))
    named = {"item_name": "metal nut", "anomaly_type": "scratch"}
    async with ToolClient(settings, root) as tools:
        prompt = await tools.call("prompt_gen", {"image": "part.png", **named})
        drawn = await tools.call("image_gen", {"image": "part.png", "prompt": prompt.prompt, "spec": prompt.spec.model_dump()})
        pair = {"normal_image": "part.png", "anomaly_image": drawn.image}
        judged = await tools.call("quality_eval", {**pair, **named})
        masked = await tools.call("mask_gen", pair)
        found = await tools.call("knowledge_retrieval", named)
    backends = [each.backend for each in (prompt, drawn, judged, found, masked)]
    heavy = sorted({"torch", "diffusers", "transformers", "tensorflow", "onnxruntime"} & set(sys.modules))
    print(json.dumps({"backends": backends, "heavy": heavy, "attempts": attempts, "mask": masked.area_fraction}))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_all_five_embedded_tools_work_without_torch_and_without_any_connection(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, size=96).root
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, timeout=240, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["backends"] == ["template", "procedural", "features", "chroma", "change"]
    assert said["heavy"] == []
    assert said["attempts"] == []
    assert said["mask"] > 0


def test_a_server_is_up_before_arrays_codecs_and_backends_are_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from anomalyagent.configs.schema import Settings\n"
        "from anomalyagent.mcp_tools.contracts import TOOL_NAMES; from anomalyagent.mcp_tools.server import build_server\n"
        "from anomalyagent.mcp_tools.workspace import Workspace\n"
        "build_server(TOOL_NAMES, Settings(), Workspace(Path(sys.argv[1])))\n"
        "print(sorted({'numpy', 'cv2', 'scipy', 'skimage', 'PIL', 'chromadb', 'torch', 'langgraph'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
