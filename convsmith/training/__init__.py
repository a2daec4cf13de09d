"""Trains torch modules on arrays of labelled images; knows nothing of graphs and designs."""
