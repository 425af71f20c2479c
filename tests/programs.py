"""Programs that some tests need beside Python: Node.js, npm, a browser."""

import json
import os
import shutil
import subprocess

import pytest

RUN = """import answer from "./asked.js";
let text = "";
for await (const part of process.stdin) text += part;
process.stdout.write(JSON.stringify(await answer(JSON.parse(text))));
"""


def needed(*names, of):
    """Skip, naming what is missing, where a program is not there; fail where the research data is: nothing is skipped there."""
    lacking = [name for name in names if shutil.which(name) is None]
    if lacking:
        (pytest.fail if os.environ.get("CNNKIT_DATA") else pytest.skip)(f"needs {', '.join(lacking)}: install {of}")


def javascript(folder, files, code, given):
    """Run a module of JavaScript beside others, by Node.js.

    Args:
        folder: for them.
        files: their content, by name.
        code: a module that exports, as default, a function of `given` that returns what JSON can hold, or a promise of it.
        given: what JSON can hold.
    """
    needed("node", of="Node.js 18 or newer")
    files = {**files, "asked.js": code.encode(), "run.js": RUN.encode(), "package.json": b'{"type": "module"}'}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    done = subprocess.run(
        ["node", "run.js"], cwd=folder, input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
