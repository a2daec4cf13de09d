"""Threads that wait asleep: the tests share their cores, and waiting awake slows all of them down."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
