"""Ending a run that goes on in another process: it keeps what it has, and ``--resume`` goes on with it."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Final

import psutil

from convsmith.errors import RunError
from convsmith.jobs.run_folder import RunFolder

_HOLDER: Final = re.compile(r"process (\d+) on (.+)")


def stop(run: str | Path) -> int:
    """Ask the process that works on a run to end, by SIGTERM; returns its number.

    The lock of the run names the process. That it is still the one is checked before anything is sent: it must run on
    this machine and have the file of the lock open, so that a number given to another program since is left alone.

    Raises:
        RunError: If nothing works on the run, or what does so cannot be told or reached from here.
    """
    folder = RunFolder(Path(run))
    holder, where = folder.holder, str(folder.path)
    if not holder:
        raise RunError("no process works on the run", where=where, remedy="go on with it by --resume")
    found = _HOLDER.fullmatch(holder)
    if found is None:
        raise RunError("the lock does not say which process works on the run", received=holder, where=where)
    number, machine = int(found[1]), found[2]
    if machine != socket.gethostname():
        remedy = f"end process {number} there"
        raise RunError("the run goes on on another machine", received=machine, where=where, remedy=remedy)
    try:
        process = psutil.Process(number)
        if not any(Path(one.path).samefile(folder.lock) for one in process.open_files() if Path(one.path).exists()):
            rule = "the process that the lock names is another program now"
            raise RunError(rule, received=number, where=where, remedy="look for the run with ps")
        process.terminate()
    except psutil.Error as error:
        rule = "the process that works on the run cannot be reached"
        raise RunError(rule, received=number, where=where, remedy=f"end it with kill {number}") from error
    return number
