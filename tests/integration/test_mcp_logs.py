"""What a real server writes to stderr: faults and where they are; what clients said only when asked."""

import json
from pathlib import Path

from helpers.raw_mcp import StdioByHand
from helpers.workspaces import make_workspace

WORD = "client-word-8271"
BROKEN = "helpers.tiny_backends:BrokenMask"
PAIR = {"normal_image": "part.png", "anomaly_image": "part.png"}


def said_on_stderr(root: Path, *options: str) -> str:
    arguments = ("all", "--workspace", str(root), "--set", f"tools.mask_gen.backend={BROKEN}", *options)
    with StdioByHand(*arguments) as server:
        server.shake_hands()
        answer = server.request("tools/call", {"name": "mask_gen", "arguments": PAIR})
        assert "secret-value-4711" not in json.dumps(answer)
        for name, given in [
            ("prompt_gen", {"image": "part.png", "item_name": WORD, "anomaly_type": WORD}),
            ("image_gen", {"image": "part.png", "prompt": WORD, "spec": WORD}),
            ("image_gen", {"image": f"{WORD}.png", "prompt": WORD, "preview": True}),
            (WORD, {WORD: WORD}),
        ]:
            server.request("tools/call", {"name": name, "arguments": given})
        server.request("prompts/get", {"name": WORD})
        server.request("resources/read", {"uri": f"image://{WORD}.png"})
        server.request(WORD, {WORD: WORD})
        server.send_line(WORD)
        server.send_line(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {WORD: WORD}}))
        code, _, err = server.finish()
    assert code == 0
    return err


def test_the_log_names_the_fault_and_no_word_of_the_client(tmp_path: Path) -> None:
    err = said_on_stderr(make_workspace(tmp_path).root)
    assert "KeyError" in err
    assert "tiny_backends.py" in err
    assert "--log-details" in err
    assert WORD not in err
    assert "secret-value-4711" not in err


def test_everything_is_logged_when_it_is_asked_for(tmp_path: Path) -> None:
    err = said_on_stderr(make_workspace(tmp_path).root, "--log-details")
    assert "secret-value-4711" in err
    assert WORD in err
