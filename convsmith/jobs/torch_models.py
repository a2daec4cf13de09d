"""Torch modules by name: ``timm:NAME``, ``torchvision:NAME``, ``package.module:factory``, read into a graph.

Nothing is downloaded: networks are built without weights, and where their code allows it without memory for them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from convsmith.errors import ModelError, did_you_mean, first_line
from convsmith.interop.reading import Reading
from convsmith.interop.torch_reader import read_module

_PHOTOGRAPH: Final = (3, 224, 224)


def open_reference(reference: str, *, input: tuple[int, int, int] | None = None, run: bool = False) -> Reading:
    """Build the module that ``reference`` names and read it.

    Raises:
        ModelError: If it cannot be imported or built, with the nearest right spelling, or cannot be read.
    """
    door, _, name = reference.partition(":")
    if door == "timm":
        module, size = build_timm(name)
    elif door == "torchvision":
        module, size = build_torchvision(name)
    else:
        module, size = _factory(door, name), None
    return read_module(module, input or size or _PHOTOGRAPH, name=reference, run=run)


def open_module(module: Any, *, input: tuple[int, int, int] | None = None, run: bool = False) -> Reading:
    """Read a module.

    Raises:
        ModelError: If it is none, or cannot be read.
    """
    if not isinstance(module, nn.Module):
        rule = "a model must be a reference, a design, a graph or a torch.nn.Module"
        raise ModelError(rule, received=type(module).__name__)
    return read_module(module, input or _PHOTOGRAPH, run=run)


def build_timm(name: str) -> tuple[nn.Module, tuple[int, int, int] | None]:
    """A network of timm without weights, and the image (channels, height, width) that it is published for.

    Raises:
        ModelError: If timm is not there or has no such network.
    """
    timm = _package("timm", f"timm:{name}")
    _check_name(name, timm.list_models(), "timm")
    module = _without_memory(lambda: timm.create_model(name))
    size = getattr(module, "pretrained_cfg", {}).get("input_size")
    return module, tuple(size) if size else None


def build_torchvision(name: str) -> tuple[nn.Module, tuple[int, int, int] | None]:
    """The same of torchvision.

    Raises:
        ModelError: If torchvision is not there or has no such network.
    """
    models = _package("torchvision.models", f"torchvision:{name}")
    _check_name(name, models.list_models(module=models), "torchvision")
    module = _without_memory(lambda: models.get_model(name, **_untrained(name)))
    crop = models.get_model_weights(name).DEFAULT.transforms.keywords["crop_size"]
    if getattr(module, "image_size", crop) != crop:  # transformers take only the size they are built for
        module = _without_memory(lambda: models.get_model(name, image_size=crop))
    return module, (3, crop, crop)


def _untrained(name: str) -> dict[str, Any]:
    """Two networks of torchvision draw their weights by a slow scheme unless told not to."""
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _factory(module: str, name: str) -> nn.Module:
    where = f"{module}:{name}"
    with _working_directory():
        home = _package(module, where)
    if not hasattr(home, name):
        meant = did_you_mean(name, dir(home), shown=f"{module}:{{}}") or "give the name of a function or a class"
        raise ModelError(f"{module} has no such name", received=name, where=where, remedy=meant)
    factory = getattr(home, name)
    made = factory if isinstance(factory, nn.Module) else _called(factory, where)
    if not isinstance(made, nn.Module):
        rule = "calling the factory must give a torch.nn.Module"
        raise ModelError(rule, received=type(made).__name__, where=where)
    return made


def _called(factory: Any, where: str) -> Any:
    if not callable(factory):
        raise ModelError("the factory must be a function or a class", received=type(factory).__name__, where=where)
    try:
        return factory()
    except Exception as error:
        rule = f"the factory fails when it is called without arguments: {first_line(error)}"
        raise ModelError(rule, where=where) from error


def _package(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        remedy = f"install {top}, or run where it can be imported from"
        raise ModelError(f"cannot import {name}: {error}", where=where, remedy=remedy) from error
    except Exception as error:  # anything can happen in somebody's module
        raise ModelError(f"importing {name} fails: {first_line(error)}", where=where) from error


def _check_name(name: str, names: list[str], package: str) -> None:
    if name not in names:
        meant = did_you_mean(name, names, shown=f"{package}:{{}}")
        raise ModelError(f"{package} has no such network", received=name, remedy=meant)


def _without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    """Build on the meta device; where its code looks at numbers while building, for real."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return build()


@contextmanager
def _working_directory() -> Iterator[None]:
    """Let modules be imported from the working directory."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
