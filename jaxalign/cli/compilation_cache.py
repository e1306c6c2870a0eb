"""Where commands keep the programs that XLA compiled, so that the next one starts sooner."""

import hashlib
import os
import platform
import sys
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def use_compilation_cache() -> None:
    """Let jax keep compiled programs between commands, unless the environment says where or
    whether; before jax is imported. Where the folder cannot be written, nothing is kept.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = _user_caches() / "jaxalign" / f"xla-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        # Of the programs of a command most take less than jax's own limit, a second.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def _user_caches() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _processor() -> str:
    """The kind of CPU: hosts that share a home folder may not share compiled programs."""
    kind = f"{platform.machine()} {platform.processor()}"
    if _CPU_INFO.exists():
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        kind += "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
    return hashlib.sha256(kind.encode()).hexdigest()[:12]
