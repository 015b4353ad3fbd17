"""Starts processes that run `tools/train_net.py`, without the seconds of imports that each takes.

Reads a line of JSON for each, and answers with a line for its id and one for its exit code.
"""

import json
import os
import resource
import runpy
import sys
from pathlib import Path

from detectron2.engine import default_argument_parser

from langdg_d2 import engine

TOOL = Path(__file__).parents[2] / "tools/train_net.py"


def become_training(request: dict, main) -> None:
    """What the tool's last lines do, in a session of its own."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if "largest_file" in request:
        limit = request["largest_file"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    engine.launch(main, default_argument_parser().parse_args(request["arguments"]))


if __name__ == "__main__":
    tool = runpy.run_path(str(TOOL), run_name="tool")
    for line in iter(sys.stdin.readline, ""):
        process = os.fork()
        if not process:
            become_training(json.loads(line), tool["main"])
            break
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
