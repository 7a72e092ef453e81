"""What the processes do that a template of tests forks."""

import ctypes
import os
import time
from pathlib import Path


def prepare():
    """Nothing is loaded ahead."""


def perform(task, out):
    """Do what a task says."""
    match task["do"]:
        case "say":
            out.write(task["what"].encode())
        case "sleep":
            Path(task["mark"]).write_text(str(os.getpid()))
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "end":
            os._exit(3)
        case "parent":
            out.write(str(os.getppid()).encode())
        case "nice":
            out.write(str(os.nice(0)).encode())
        case _:
            ctypes.string_at(0)
