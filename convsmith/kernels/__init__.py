"""Operators for training on the CPU that sweep over memory less often than torch's.

Networks with depthwise convolutions spend most of a training step moving maps: normalisation, activation and depthwise
steps each read and write them several times. Here a normalisation, what is added to it and its activation are one
operator that keeps nothing but its input; depthwise convolutions have kernels of their own, and where one alone reads
what is normalised, the map between them never goes to memory. They are C, compiled by the machine's compiler for its
own processor at first use; without a compiler torch's operators do the same.
"""

from convsmith.kernels.activation import Activation, activation_of
from convsmith.kernels.depthwise import depthwise, takes_depthwise
from convsmith.kernels.native import available, why_unavailable
from convsmith.kernels.norm import normalise, takes_map, takes_norm
from convsmith.kernels.normed_depthwise import normed_depthwise

__all__ = [
    "Activation",
    "activation_of",
    "available",
    "depthwise",
    "normalise",
    "normed_depthwise",
    "takes_depthwise",
    "takes_map",
    "takes_norm",
    "why_unavailable",
]
