"""Random changes to a whole batch of training images at once, decided per sample by ``chance``.

A sample gets the same bits in every batch that it falls into. There is no loop over images: changes of place are one
copy or one resampling, changes of colour one matrix, operations are made for all images that drew them.
"""

from convsmith.data.augment.batch import augment
from convsmith.data.augment.mix import mix, soft_labels
from convsmith.data.augment.operations import OPERATIONS, RANDAUGMENT
from convsmith.data.augment.policy import Policy
from convsmith.data.chance import Draws, epoch_order
from convsmith.data.normalise import Normalisation

__all__ = [
    "OPERATIONS",
    "RANDAUGMENT",
    "Draws",
    "Normalisation",
    "Policy",
    "augment",
    "epoch_order",
    "mix",
    "soft_labels",
]
