"""A run folder as a page and a picture."""
