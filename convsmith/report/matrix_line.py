"""What a matrix is, in one line: the same in the terminal and under its picture."""

from __future__ import annotations

from convsmith.analysis.weight_matrix import WeightMatrix
from convsmith.quantities import format_percent, format_shape


def matrix_line(matrix: WeightMatrix) -> str:
    """``C is 4x16: 36 entries, 9 distinct weights, 43.8 % zeros``."""
    counts = f"{matrix.nonzeros:,} entries, {matrix.distinct:,} distinct weights"
    return f"C is {format_shape(matrix.shape)}: {counts}, {format_percent(matrix.sparsity)} zeros"
