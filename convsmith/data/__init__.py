"""Labelled images: listed, decoded once into a cache, split, and augmented by the batch.

Augmentation is imported from ``convsmith.data.augment``, so that looking at a data set does not load torch.
"""

from convsmith.data.chance import epoch_order
from convsmith.data.decode import Unreadable, convert_channels, decode, read_image
from convsmith.data.images import Images, open_images
from convsmith.data.listing import Item, Listing, Rejected
from convsmith.data.named import NAMED_SETS
from convsmith.data.normalise import Normalisation
from convsmith.data.resample import Fit, resample, resample_matrix, resize
from convsmith.data.rows import Pixels, Rows
from convsmith.data.source import list_images
from convsmith.data.split import Split, split_images
from convsmith.data.square import read_square
from convsmith.files import cache_folder

__all__ = [
    "NAMED_SETS",
    "Fit",
    "Images",
    "Item",
    "Listing",
    "Normalisation",
    "Pixels",
    "Rejected",
    "Rows",
    "Split",
    "Unreadable",
    "cache_folder",
    "convert_channels",
    "decode",
    "epoch_order",
    "list_images",
    "open_images",
    "read_image",
    "read_square",
    "resample",
    "resample_matrix",
    "resize",
    "split_images",
]
