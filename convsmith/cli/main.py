"""The entry point: a table of commands, each imported only when it is asked for, and what errors look like.

``convsmith --help`` must answer at once, so nothing here imports a command; the table holds their summaries and a
test holds the table to the commands.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from convsmith.errors import EXIT_BAD_INPUT, ConvsmithError

COMMANDS: dict[str, str] = {
    "fit": "Find, train, prove and export the network that fits a compute budget.",
    "inspect": "Show the exact table of a network: shapes, parameters, multiply-adds, bytes.",
    "scale": "Scale a design along depth, width and resolution, or up to a budget.",
    "zoo": "List the published networks that convsmith knows, or print one as a design file.",
}

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns 0 done, 1 a gate failed, 2 wrong input or usage, 130 stopped by Ctrl-C."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"convsmith {version('convsmith')}\n")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"did you mean {nearest[0]}? " if nearest else ""
        return _fail(f"{name!r} is not a command; {meant}`convsmith --help` lists them", EXIT_BAD_INPUT)
    try:
        return importlib.import_module(f"convsmith.cli.{name}").command(rest)
    except ConvsmithError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped", EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; Python would complain about it at exit
        return 0


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
    line = message.replace("\n", "\\n")
    sys.stderr.write(f"convsmith: error: {line}\n")
    return code
