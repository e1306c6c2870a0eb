import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(tmp_path):
    """SIGKILL at 20 random moments, also while a run that was killed before goes on."""
    script = Path(__file__).with_name("killed_run.py")
    command = [sys.executable, str(script), str(tmp_path), "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    steps = json.loads(done.stdout)
    assert len(steps) == 20
    assert len(set(steps)) > 2
