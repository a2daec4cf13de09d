"""The compiled kernels: made by the machine's own C compiler at first use, kept in the cache, loaded once."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from ctypes import c_double, c_float, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch

from convsmith.errors import RunError
from convsmith.files import cache_folder, make_folder, write_atomically
from convsmith.processor import instruction_sets, processor_name

_SOURCES: Final = ("native.c", "native_norm.h", "native_depthwise.h", "native_normed_depthwise.h")
# No flag may change the floating-point mode of the process, as -ffast-math would for every library in it.
_FLAGS: Final = (
    "-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC", "-shared"
)  # fmt: skip
_WIDE: Final = "-mprefer-vector-width=512"
_COMPILE_SECONDS: Final = 120
SUFFIXES: Final = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
"""Number types of maps that there are kernels for, and how their functions' names end."""


class Norm(ctypes.Structure):
    """``struct norm``."""

    _fields_ = [
        *[(name, c_int64) for name in ("size", "channels", "length")],
        *[(name, c_void_p) for name in ("weight", "bias", "running_mean", "running_var")],
        *[(name, c_double) for name in ("eps", "momentum")],
        *[(name, c_int) for name in ("parts", "activation")],
        *[(name, c_float) for name in ("low", "high")],
    ]


class Plane(ctypes.Structure):
    """``struct plane``."""

    _fields_ = [
        *[(name, c_int64) for name in ("images", "height", "width", "channels", "out_height", "out_width")],
        *[(name, c_int) for name in ("kernel", "stride", "padding")],
    ]


_ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "norm_forward": (*[c_void_p] * 3, ctypes.POINTER(Norm), *[c_void_p] * 2),
    "norm_backward": (*[c_void_p] * 5, ctypes.POINTER(Norm), *[c_void_p] * 4),
    "depthwise": (*[c_void_p] * 3, ctypes.POINTER(Plane)),
    "depthwise_gradient": (*[c_void_p] * 3, ctypes.POINTER(Plane)),
    "depthwise_weight_gradient": (*[c_void_p] * 3, c_int, ctypes.POINTER(Plane)),
    "normed_depthwise": (*[c_void_p] * 3, ctypes.POINTER(Norm), ctypes.POINTER(Plane), *[c_void_p] * 3),
    "normed_depthwise_backward": (
        *[c_void_p] * 5,
        ctypes.POINTER(Norm),
        *[ctypes.POINTER(Plane)] * 2,
        *[c_void_p] * 6,
    ),
}


def available() -> bool:
    """Whether the kernels can be used here; compiles them if that has not been done."""
    return why_unavailable() == ""


@cache
def why_unavailable() -> str:
    """Why the kernels cannot be used here; empty if they can."""
    try:
        _library()
    except (RunError, OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


def call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Run a kernel; tensors are given by their addresses, absent ones by None."""
    found = [argument.data_ptr() if isinstance(argument, torch.Tensor) else argument for argument in arguments]
    _functions()[name, dtype](*found)


def most_threads() -> int:
    """As many threads as a kernel may be run by."""
    return int(_library().most_threads())


@cache
def _functions() -> dict[tuple[str, torch.dtype], Any]:
    library = _library()
    found: dict[tuple[str, torch.dtype], Any] = {}
    for name, types in _ARGUMENTS.items():
        for dtype, suffix in SUFFIXES.items():
            function = getattr(library, f"{name}_{suffix}")
            function.argtypes, function.restype = types, None
            found[name, dtype] = function
    return found


@cache
def _library() -> ctypes.CDLL:
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        raise RunError("there is no C compiler", remedy="install one, such as Debian's package gcc")
    flags = [*_FLAGS, _WIDE] if "avx512f" in instruction_sets() else list(_FLAGS)
    folder = Path(__file__).parent
    sources = [(folder / name).read_bytes() for name in _SOURCES]
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=_COMPILE_SECONDS).stdout
    machine = repr((flags, processor_name(), instruction_sets())).encode()
    digest = hashlib.sha256(b"\0".join([*sources, version, machine])).hexdigest()[:24]
    path = cache_folder() / "kernels" / f"{digest}.so"
    if not path.is_file():
        make_folder(path.parent)
        write_atomically(
            path, lambda target: _compile([compiler, *flags, str(folder / _SOURCES[0]), "-o", str(target)])
        )
    _check_ours(path)
    return ctypes.CDLL(str(path))


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise RunError(f"the C compiler refuses the kernels: {said[0] if said else done.returncode}")


def _check_ours(path: Path) -> None:
    """Nobody else may have been able to put code there."""
    for place in (path, path.parent):
        status = place.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            rule, remedy = "others can write the compiled kernels", "delete the folder, or set CONVSMITH_CACHE"
            raise RunError(rule, where=str(place), remedy=remedy)
