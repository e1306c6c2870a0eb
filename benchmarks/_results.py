"""The results of benchmarks: one JSON file per device and question, with the environment."""

import json
import re
from pathlib import Path
from typing import Any

import jax

from jaxalign.cli.environment import environment


def save(question: str, content: dict[str, Any]) -> Path:
    """Write ``content`` and the environment to results/<device>-<question>.json."""
    device = re.sub(r"[^a-z0-9]+", "-", jax.devices()[0].device_kind.lower())
    file = Path(__file__).parent / "results" / f"{device}-{question}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        json.dumps({**content, "environment": environment()}, indent=2) + "\n", encoding="utf-8"
    )
    return file
