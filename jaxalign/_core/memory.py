"""How much memory a device has left, and sizes for people."""

from pathlib import Path

import jax

_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available(device: jax.Device) -> int | None:
    """Bytes that can still be had on a device; None where nobody knows."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    known = [left for left in (_left_on_host(), _left_in_group()) if left is not None]
    if device.platform != "cpu" or not known:
        return None
    return min(known)


def readable(count: int | float) -> str:
    """A number of bytes for people: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} TiB"


def _left_on_host() -> int | None:
    """What Linux counts as available, caches included."""
    if not _MEMORY.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
    if "MemAvailable" not in fields:
        return None
    return int(fields["MemAvailable"].split()[0]) * 1024


def _left_in_group() -> int | None:
    """What a container's limit leaves."""
    limit = _GROUP / "memory.max"
    used = _GROUP / "memory.current"
    if not (limit.exists() and used.exists()):
        return None
    most = limit.read_text().strip()
    if not most.isdigit():  # "max": no limit
        return None
    return int(most) - int(used.read_text())
