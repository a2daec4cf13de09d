"""Checks of a data set before hours are spent on it: pure functions of pixels, labels and file headers.

Each file asks one question; none of them decides what to do about the answer.
"""
