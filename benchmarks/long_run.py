"""What does a long run cost in memory and on disk: writing it, training it, reading it, showing it?

    python benchmarks/long_run.py [--rows 100000] [--layers 96] [--steps 20000]

A run of so many measured rows is made up with the shapes of what a monitor logs by default, and
written chunk by chunk; then it is read, whole and in a range, and summarized. A small network is
trained for `steps` steps, with its history in memory and without. Every stage is a process of its
own. Its growth is its largest resident memory beyond what it had before it began, with the pages of
mapped files, which the system takes back when it needs them; beside it is what is not mapped, in
the end. Goals: writing and reading grow by less than 50 MB, a row of 5 layers is at most 1 kB
beside its arrays. Takes 5 GB of disk at the default size, in the folder for temporary files.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

import jaxalign as ja

CHUNK = 64
TAU = {"alignment": 3, "curve": 64, "null_curve": 64}
HALVED = {"array_dtype": "bfloat16", "array_every": 10}


def resident() -> float:
    """MB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def not_mapped() -> float:
    """MB of this process that are not pages of files."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024 / 1e6


def part_of(layers: int, begin: int, count: int) -> ja.History:
    """Made-up rows of a monitor's default measures."""
    step = np.arange(begin, begin + count, dtype=np.int32)
    rng = np.random.default_rng(begin)
    names = [f"layer_{i}" for i in range(layers)]
    shapes: dict[str, tuple[int, ...]] = {"area": (), "null_area": ()}
    shapes |= {name: (size,) for name, size in TAU.items()}
    axes = {name: {"tau": np.linspace(0, 30, size)} for name, size in TAU.items()}
    logged = OrderedDict(
        (
            name,
            OrderedDict(
                (measure, rng.random((count, *shape), np.float32))
                for measure, shape in shapes.items()
            ),
        )
        for name in names
    )
    loss = rng.random(count, np.float32)
    coordinates = dict.fromkeys(names, axes)
    totals = dict.fromkeys(names, 1000.0)
    return ja.History(step, step, loss, {"accuracy": loss}, logged, coordinates, totals)


def write(folder: Path, layers: int, rows: int, **storage: Any) -> dict[str, float]:
    """Write the run; bytes a row, in arrays and beside them."""
    writer = ja.RunWriter(folder, {}, **storage)
    made = part_of(layers, 0, CHUNK)
    for begin in range(0, rows, CHUNK):
        count = min(CHUNK, rows - begin)
        part = part_of(layers, 0, count) if count < CHUNK else made
        writer.write(part._replace(step=part.step + begin, measured=part.measured + begin))
    writer.finish({})
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    arrays = sum(size for name, size in sizes.items() if name.removesuffix(".npy") in TAU)
    beside = sum(sizes.values()) - arrays - sizes["config.json"]
    return {"array_bytes_per_row": arrays / rows, "other_bytes_per_row": beside / rows}


def read(folder: Path) -> dict[str, float]:
    """Read the run, and look at every layer's last curve."""
    history = ja.read_history(folder)
    for logged in history.layers.values():
        np.asarray(logged["curve"][-1]).sum()
    return {"rows": len(history.step)}


def read_range(folder: Path) -> dict[str, float]:
    """Read 1000 steps in the middle, all of them."""
    rows = len(ja.read_history(folder).step)
    history = ja.read_history(folder, steps=slice(rows // 2, rows // 2 + 1000))
    total = sum(float(x.sum()) for logged in history.layers.values() for x in logged.values())
    return {"rows": len(history.step), "sum": total}


def show(folder: Path) -> dict[str, float]:
    """Summarize the run, as `jaxalign show` does, and draw its first picture."""
    from jaxalign.report.run.figures import alignment_by_step
    from jaxalign.report.run.summary import summarize

    run = summarize(ja.read_history(folder))
    alignment_by_step(run).savefig(folder.parent / "picture.png")
    return {}


def train(folder: Path, steps: int, *, keep_history: bool) -> dict[str, float]:
    """Train a network of 5 layers, with an array of 64 numbers a layer and step."""
    import optax
    from flax import nnx

    from jaxalign.models import MLP
    from jaxalign.monitoring import of_features

    inputs = np.random.default_rng(0).standard_normal((256, 8)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(int)
    model = MLP(8, (16, 16, 16, 16), 1, rngs=nnx.Rngs(0))
    measures = {
        "sum": of_features(lambda x: x.sum(axis=1)),
        "mean": of_features(lambda x: x.mean()),
    }
    monitor = ja.monitor(
        ja.tap(model, "hidden_*"), inputs[:64], ja.encode_targets(labels[:64]), measures=measures
    )
    writer = ja.RunWriter(folder, {})
    first: list[float] = []

    def callback(part: ja.History) -> None:
        writer.write(part)
        if part.step[0] == CHUNK:
            first.append(resident())

    _, history = ja.fit(
        model,
        optax.sgd(1e-3),
        inputs,
        labels,
        steps=steps,
        monitor=monitor,
        chunk=CHUNK,
        callback=callback,
        keep_history=keep_history,
    )
    # What is compiled is there after the first chunks.
    return {"before_mb": first[0], "rows_in_memory": len(history.step)}


STAGES = {
    "write": write,
    "read": read,
    "read 1000 steps": read_range,
    "show": show,
    "train": train,
}


def stage(name: str, folder: Path, settings: dict[str, Any]) -> dict[str, float]:
    """Run a stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", json.dumps([name, str(folder), settings])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def run_stage(name: str, folder: str, settings: dict[str, Any]) -> None:
    """Print what a stage took."""
    import jaxalign.report.run.figures  # noqa: F401  # what is imported is no growth

    before = resident()
    own_before = not_mapped()
    started = time.perf_counter()
    result = STAGES[name](Path(folder), **settings)
    seconds = time.perf_counter() - started
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    if "before_mb" in result:  # training, where what is compiled is no growth
        memory = {"growth_mb": largest - result.pop("before_mb")}
    else:
        memory = {"growth_mb": largest - before, "not_mapped_mb": not_mapped() - own_before}
    print(json.dumps({**memory, "seconds": seconds, **result}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=96)
    parser.add_argument("--steps", type=int, default=20_000, help="of training")
    parser.add_argument("--stage", type=json.loads)
    arguments = parser.parse_args()
    if arguments.stage is not None:
        run_stage(*arguments.stage)
        return
    sizes = {"layers": arguments.layers, "rows": arguments.rows}
    small = {"layers": 5, "rows": 2000}
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        long, few = root / "long", root / "few"
        cases = {
            "write": ("write", long, sizes),
            "read": ("read", long, {}),
            "read 1000 steps": ("read 1000 steps", long, {}),
            "show": ("show", long, {}),
            "write, bfloat16, every 10th": ("write", root / "halved", {**sizes, **HALVED}),
            "write 5 layers": ("write", few, small),
        }
        for keep in (True, False):
            settings = {"steps": arguments.steps, "keep_history": keep}
            name = f"train 5 layers, history {'kept' if keep else 'not kept'}"
            cases[name] = ("train", root / f"trained {keep}", settings)
        for name, case in cases.items():
            results[name] = {key: round(x, 1) for key, x in stage(*case).items()}
            print(f"{name:40s} {results[name]}", flush=True)
    from _results import save

    print(save("long-run", {**sizes, "steps": arguments.steps, "stages": results}))


if __name__ == "__main__":
    main()
