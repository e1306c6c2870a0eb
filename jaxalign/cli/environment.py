"""What a run ran on, for its config.json."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax


def environment() -> dict[str, Any]:
    """Versions, device and start time."""
    devices = jax.devices()
    return {
        "versions": {
            "python": platform.python_version(),
            **{
                name: version(name)
                for name in ("jaxalign", "jax", "jaxlib", "flax", "optax", "numpy")
            },
        },
        "device": f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform})",
        "host": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
