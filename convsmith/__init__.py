"""convsmith: the convolutional network that fits a compute budget, and the exact truth about any CNN."""
