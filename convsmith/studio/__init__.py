"""The studio: a local page on which a network is seen, changed and explained; ``convsmith studio`` opens it."""
