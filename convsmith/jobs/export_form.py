"""What the exported file of a design will be, before anything is trained: its bytes, and how long it runs.

Neither depends on what the weights are worth, so made-up ones do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Final

from convsmith.analysis import WEIGHT_BYTES
from convsmith.data import Images, Normalisation
from convsmith.data.memory import free_memory
from convsmith.deploy.calibration import Calibration
from convsmith.deploy.latency import Latency, measure_together
from convsmith.deploy.roofline import estimate
from convsmith.deploy.trials import make_weights
from convsmith.design import Design, lower
from convsmith.interop.onnx_file import onnx_content
from convsmith.ir import Builder, Graph, TensorType
from convsmith.jobs.export import export_metadata
from convsmith.jobs.preparation import Preparation
from convsmith.ops import Flatten, GlobalAvgPool
from convsmith.scaling import price
from convsmith.scaling.solve import narrowest
from convsmith.search.space import describe

TRAINING_COPIES: Final = 4
"""What a training holds of each weight at least: itself, its gradient, its momentum, its average."""
_KEPT: Final = 2**12
_SECONDS: Final = 0.2
"""How long each network is timed, at least."""


class ExportForm:
    """The exported files of networks for a set of images.

    Args:
        images: The images.
        normalisation: Mean and deviation that a file subtracts and divides by.
    """

    def __init__(self, images: Images, normalisation: Normalisation) -> None:
        self._images = images
        self._normalisation = normalisation
        self._overheads: dict[Design, int] = {}
        self.size = lru_cache(maxsize=_KEPT)(self._size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pixels that a file takes."""
        return self._images.side, self._images.side, self._images.channels

    def content(self, graph: Graph) -> bytes:
        """What is in the file of a network, but for the values of its weights."""
        preparation = Preparation.of(self._images, graph.inputs[0][1].shape[-1], self._normalisation)
        metadata = export_metadata(self._images.classes, preparation)
        return onnx_content(graph, make_weights(graph), preprocess=preparation.preprocess(), metadata=metadata)

    def content_of(self, design: Design) -> bytes:
        """The same for a design, under the name that a search gives it."""
        return self.content(lower(design.model_copy(update={"name": describe(design)})))

    def _size(self, design: Design) -> int:
        """Bytes of the file, exactly; those of the weights alone where memory does not suffice to train them."""
        weights = WEIGHT_BYTES * price(design).stored
        if TRAINING_COPIES * weights > free_memory():
            return weights
        size = len(self.content_of(design))
        self._overheads.setdefault(narrowest(design), size - weights)
        return size

    def about(self, design: Design) -> float:
        """Bytes of the file but for a few: its names and shapes are about as long for any widths."""
        kind = narrowest(design)
        if kind not in self._overheads:
            return self.size(design)
        return self._overheads[kind] + WEIGHT_BYTES * price(design).stored


class Stand:
    """How long networks take here, as exported.

    Args:
        form: Their files.
        threads: Threads of onnxruntime.
    """

    def __init__(self, form: ExportForm, threads: int) -> None:
        self._form = form
        self.threads = threads

    def measure(self, designs: Sequence[Design]) -> list[Latency]:
        """Time designs end to end, in turns."""
        return self._timed([self._form.content_of(design) for design in designs])

    def predictor(self, calibration: Calibration) -> Callable[[Design], float]:
        """Seconds for one image, known from the design: its kernels, and what is done to the pixels before them.

        The latter is measured, once for each resolution.
        """

        @cache
        def preparing(side: int) -> float:
            graph = _nothing(self._form.shape[2], side)
            return max(0.0, self._timed([self._form.content(graph)])[0].seconds - estimate(graph, calibration).seconds)

        @lru_cache(maxsize=_KEPT)
        def predict(design: Design) -> float:
            return estimate(lower(design), calibration).seconds + preparing(design.input[1])

        return predict

    def _timed(self, contents: list[bytes]) -> list[Latency]:
        return measure_together(contents, self._form.shape, threads=self.threads, seconds=_SECONDS)


def _nothing(channels: int, side: int) -> Graph:
    """A network that does hardly anything with its input."""
    net = Builder("nothing")
    pooled = net.add(GlobalAvgPool(), net.input(TensorType((1, channels, side, side))), name="pool")
    return net.graph(net.add(Flatten(), pooled, name="flatten"))
