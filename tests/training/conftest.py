from __future__ import annotations

import sys
from pathlib import Path

# training_toy.py is shared by the tests and by the child process that a test kills.
sys.path.insert(0, str(Path(__file__).parent))
