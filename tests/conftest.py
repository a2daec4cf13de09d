"""The tests share their cores: threads wait asleep, and no property is held against the clock."""

import os

from hypothesis import settings

settings.register_profile("shared cores", deadline=None)
settings.load_profile("shared cores")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
