"""The alert rules, judged by Prometheus itself on made-up fleets (`alerts.test.yml`); skipped without promtool."""

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.real_time
def test_alerts_fire_for_what_they_are_meant_for_and_for_nothing_else() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (apt-get install prometheus)")
    rules = Path(__file__).with_name("alerts.test.yml")
    done = subprocess.run([promtool, "test", "rules", rules], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
