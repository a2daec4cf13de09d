"""Graphs as torch modules and as files of weights and ONNX models; import the file for the format you need."""
