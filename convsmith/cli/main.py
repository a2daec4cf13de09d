"""The entry point: a table of commands, each imported only when it is asked for, and what errors look like.

``convsmith --help`` must answer at once, so nothing here imports a command; the table holds their summaries and a
test holds the table to the commands.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from convsmith import __version__
from convsmith.cli import clock
from convsmith.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    ConvsmithError,
    Terminated,
    did_you_mean,
)

COMMANDS: dict[str, str] = {
    "fit": "Find, train, prove and export the network that fits a compute budget.",
    "data": "Check a data set before hours are spent on it: damage, copies, leaks, labels.",
    "train": "Train one network on labelled images, and judge, export and report it.",
    "evaluate": "Judge a trained network on labelled images: accuracy, confusion, calibration.",
    "predict": "Say what is on pictures: labels with probabilities.",
    "inspect": "Show the exact table of a network, or of two side by side.",
    "scale": "Scale a design along depth, width and resolution, or up to a budget, or measure what each is worth.",
    "rewrite": "Say a network otherwise by a rule, and prove what that keeps.",
    "conv": "Explain one convolution: its size with the numbers, what it drops, shares and sees, its matrix.",
    "pool": "Explain one pooling in the same way.",
    "features": "Show the feature maps that a trained network makes of a picture, and what its channels look for.",
    "kernels": "Show the kernels of a trained network, and say what each looks for: edges, spots, colours.",
    "similarity": "Compare the layers and the channels of a trained network, and say what it could do without.",
    "saliency": "Show what in a picture decided a network's answer, and how far to believe it.",
    "probe": "Measure this machine: how long networks take on it, and how one trains fastest.",
    "export": "Write a trained network to a file that has passed its parity gate.",
    "bench": "Time a network in each program that can run it here, side by side.",
    "report": "Make the report of a run again, every figure from its log alone; also while the run goes on.",
    "studio": "Open a local page: designs and their cost, the convolution lab, fields, scaling, runs, your picture.",
    "zoo": "List the published networks that convsmith knows, or print one as a design file.",
}

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
"""What a disk or a device says that takes no more, as an error that names no file when it was standard output."""
_MEMORY = "the memory of this machine must suffice; take a smaller network, image or budget"
RESUMABLE = ("fit", "train", "scale")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    clock.begin()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see docs/decisions.md; must come before torch
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow terminal must not make a file name an error
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line.

    Returns 0 done, 1 a gate failed, 2 wrong input or usage, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
    """
    name = arguments[0] if arguments else "--help"
    try:
        code = _dispatch(name, arguments[1:])
        sys.stdout.flush()
        return code
    except ConvsmithError as error:
        return _fail(f"error: {error}", error.exit_code)
    except KeyboardInterrupt as stop:
        again = "; go on by the same command with --resume" if name in RESUMABLE else ""
        return _fail(f"stopped{again}", EXIT_TERMINATED if isinstance(stop, Terminated) else EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left.
        _abandon_output()
        return 0
    except OSError as error:
        if error.errno not in _REFUSALS or error.filename is not None:
            raise
        _abandon_output()
        return _fail(f"error: standard output: cannot write: {error.strerror}; write elsewhere", EXIT_BAD_INPUT)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        return _fail(f"error: {name}: {_MEMORY}", EXIT_BAD_INPUT)


def _abandon_output() -> None:
    """Python flushes once more at exit, and that must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(name: str, arguments: Sequence[str]) -> int:
    if name in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0
    if name == "--version":
        sys.stdout.write(f"convsmith {__version__}\n")
        return 0
    if name not in COMMANDS:
        remedy = did_you_mean(name, COMMANDS, "`convsmith --help` lists them")
        return _fail(f"error: {name!r} is not a command; {remedy}", EXIT_BAD_INPUT)
    return importlib.import_module(f"convsmith.cli.{name}").command(arguments)


def usage() -> str:
    """The text of ``convsmith --help``."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return (
        "Usage: convsmith COMMAND [OPTIONS]\n\n"
        "The convolutional network that fits a compute budget, and the exact truth about any CNN.\n\n"
        f"Commands:\n{rows}\n\n"
        "`convsmith COMMAND --help` explains a command. `convsmith --version` prints the version.\n"
    )


def _fail(message: str, code: int) -> int:
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    sys.stderr.write(f"convsmith: {line}\n")
    return code
