"""onnxruntime, kept from reporting what it runs.

Since 1.29 its builds for Linux give the machine a number, note every session (names, hashes of graph and weights) and
send that to their maker, unless this variable is set before the library is loaded.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()  # where somebody else has loaded it before
