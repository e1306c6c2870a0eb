"""Everything an accelerator has to say about jaxalign, in one command.

    python benchmarks/on_device.py --out results
    python benchmarks/on_device.py --only right step --seconds 200 --out results
    python benchmarks/on_device.py --tiny --out results

Each stage is a process of its own with a limit, so a stage that fails, hangs or runs out of memory
loses only its own results. The stages run in the order of their value, and ``--seconds`` bounds
them all together. A result is one JSON line, printed at once. After each stage the file
FOLDER/on-device.json holds all results so far. Results that can fail carry "ok": the exit status
is 1 if one does not hold or a stage fails. ``--tiny`` runs every stage on small problems and leaves
out the goals of speed: a check of this program itself, for a CPU.

Needs a few packages (``PACKAGES``) and no network; jaxalign itself is taken from PYTHONPATH or from
the repository this file lies in. To keep compiled programs for the next call,
set JAX_COMPILATION_CACHE_DIR.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOG_TAIL = 1500  # characters of a failed stage's messages that are saved
PACKAGES = (  # that the stages import
    "jax",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "PIL",
    "ml_dtypes",
    "safetensors",
    "jaxtyping",
)
RESERVE = 5.0  # seconds a stage is given to end by itself before it is killed


class Limit(NamedTuple):
    """Seconds that a stage may take, and how few are enough to start it."""

    most: float
    least: float


LIMITS = {
    "where": Limit(40, 10),
    "right": Limit(90, 30),
    "spectrum": Limit(130, 40),
    "batch": Limit(70, 30),
    "step": Limit(110, 45),
    "train": Limit(60, 30),
    "routes": Limit(90, 30),
    "large": Limit(110, 40),
}


class Results:
    """Where a stage puts its results, and how much time it has left."""

    def __init__(self, file: Path, seconds: float, tiny: bool, images: Path | None):
        self.file = file
        self.end = time.monotonic() + seconds
        self.tiny = tiny
        self.images = images

    def left(self) -> float:
        """Seconds until the stage should have ended."""
        return self.end - time.monotonic()

    def add(self, what: str, **values: Any) -> None:
        """Print a result and save it, at once."""
        line = json.dumps({"what": what} | as_json(values), allow_nan=False)
        print(f"   {line}", flush=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def check(self, what: str, ok: Any, **values: Any) -> None:
        """A result that is wrong if not ``ok``."""
        self.add(what, **values, ok=bool(ok))

    def goal(self, what: str, reached: Any, **values: Any) -> None:
        """A check of speed, which small problems say nothing about."""
        if self.tiny:
            self.add(what, **values)
        else:
            self.check(what, reached, **values)


def as_json(value: Any) -> Any:
    """The value with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: as_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def run_all(arguments: argparse.Namespace) -> int:
    """Run the stages one after another; the exit status."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        print(f"missing here: {', '.join(missing)}", file=sys.stderr)
        return 2
    begin = time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": arguments.seconds,
        "tiny": arguments.tiny,
        "stages": {},
    }
    for name in LIMITS:
        if name not in arguments.only:
            continue
        left = arguments.seconds - (time.monotonic() - begin)
        print(f"== {name}, {left:.0f} s left", flush=True)
        stage = run_stage(name, left - RESERVE, arguments)
        content["stages"][name] = stage
        save(content, arguments.out / "on-device.json")
        print(f"   {stage['status']}", flush=True)
        if stage["log"]:
            print(stage["log"], flush=True)
    return summary(content["stages"])


def run_stage(name: str, left: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one stage as a process: its status, results, and the last messages of a failure."""
    limit = LIMITS[name]
    if left < limit.least:
        return {"status": "skipped", "took": 0.0, "results": [], "log": ""}
    seconds = min(limit.most, left)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.jsonl")
        with Path(folder, "log").open("w+", encoding="utf-8", errors="replace") as log:
            command = stage_command(name, results, seconds, arguments)
            status = wait_for(command, seconds + RESERVE, log)
            log.seek(0)
            messages = log.read()
        rows = read_rows(results)
    took = round(time.monotonic() - begin, 1)
    tail = "" if status == "done" else messages[-LOG_TAIL:]
    return {"status": status, "took": took, "results": rows, "log": tail}


def stage_command(
    name: str, results: Path, seconds: float, arguments: argparse.Namespace
) -> list[str]:
    command = [sys.executable, __file__, "--stage", name, "--results", str(results)]
    command += ["--seconds", str(seconds)]
    if arguments.tiny:
        command.append("--tiny")
    if arguments.images is not None:
        command += ["--images", str(arguments.images)]
    return command


def wait_for(command: list[str], seconds: float, log: Any) -> str:
    """Run a command and kill it after so many seconds; what became of it."""
    try:
        process = subprocess.run(command, env=environment(), stderr=log, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "out of time"
    if process.returncode != 0:
        return f"failed with status {process.returncode}"
    return "done"


def environment() -> dict[str, str]:
    """The environment of a stage: the package can be imported, and memory is taken as needed."""
    variables = dict(os.environ)
    paths = [variables.get("PYTHONPATH", ""), str(ROOT)]
    variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    variables.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    variables.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return variables


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The results in a file; the last line may be half a line, of a process that was killed."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def save(content: dict[str, Any], file: Path) -> None:
    """Write by rename, so that the file is complete at any time."""
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(file)


def summary(stages: dict[str, Any]) -> int:
    """Print how many checks hold; the exit status."""
    checks = [row for stage in stages.values() for row in stage["results"] if "ok" in row]
    wrong = [row["what"] for row in checks if not row["ok"]]
    skipped = [name for name, stage in stages.items() if stage["status"] == "skipped"]
    failed = [name for name in stages if stages[name]["status"] not in ("done", "skipped")]
    print(f"{len(checks) - len(wrong)} of {len(checks)} checks hold")
    if wrong:
        print("wrong: " + "; ".join(wrong))
    if skipped:
        print("skipped, no time left: " + ", ".join(skipped))
    if failed:
        print("failed: " + ", ".join(failed))
    return int(bool(wrong or failed))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=420, help="of all stages together")
    parser.add_argument("--out", type=Path, default=Path("."), metavar="FOLDER")
    parser.add_argument("--only", nargs="+", choices=LIMITS, default=list(LIMITS), metavar="STAGE")
    parser.add_argument("--tiny", action="store_true", help="small problems, for a CPU")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="PATH",
        help="Fashion-MNIST for the stage train: a folder of its IDX files, or an .npz file with "
        "train_images and train_labels; by default the 5000 images of the package",
    )
    # How this program calls itself for a stage.
    parser.add_argument("--stage", choices=LIMITS, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    if arguments.stage is None:
        return run_all(arguments)
    import _device_stages  # here, because the first process must not take the accelerator

    results = Results(arguments.results, arguments.seconds, arguments.tiny, arguments.images)
    _device_stages.STAGES[arguments.stage](results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
