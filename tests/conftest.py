"""Threads that wait asleep: the tests share their cores, and waiting awake would slow them down tenfold."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
