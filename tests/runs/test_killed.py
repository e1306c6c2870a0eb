import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("source", "kills"), [("arrays", 6), ("grain", 4)])
def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(tmp_path, source, kills):
    """SIGKILL at random moments, also while a run that was killed before goes on."""
    if source == "grain":
        pytest.importorskip("grain")
    script = Path(__file__).with_name("killed_run.py")
    command = [sys.executable, str(script), str(tmp_path), str(kills), source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    steps = json.loads(done.stdout)
    assert len(steps) == kills
    assert len(set(steps)) > kills // 3
