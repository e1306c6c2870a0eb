"""What do 2 million rows from disk cost in `fit`, in memory and in time, beside the same in memory?

    python benchmarks/stream.py [--rows 2000000] [--width 32]

An MLP is trained for one epoch, in batches of 256 rows, on a file of random rows: by a generator
that reads the file, by a loader of grain, and with all rows as arrays in memory. Each way is a
process of its own. Memory is the peak of the resident set after the first tenth of the steps, when
everything is compiled and allocated, and how much it grows from there to the end; the rows of the
log go to no one. Goal: a stream grows by less than 50 MB, whatever the size of the file.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from _results import save
from flax import nnx
from rich.console import Console
from rich.table import Table

import jaxalign as ja
from jaxalign.models import MLP

BATCH = 256
WAYS = ("generator", "grain", "arrays")


def row_of(width: int) -> np.dtype:
    """A row of the file."""
    return np.dtype([("label", np.int32), ("image", np.float32, (width,))])


class Rows:
    """A file of rows, each a label and ``width`` numbers, read a batch at a time."""

    def __init__(self, file: Path, width: int):
        self._file = file
        self._row = row_of(width)
        self.number = file.stat().st_size // self._row.itemsize

    def __repr__(self) -> str:
        return f"Rows({self._file})"

    def __len__(self) -> int:
        return self.number // BATCH

    def __getitem__(self, batch: int) -> dict[str, np.ndarray]:
        start = int(batch) * BATCH * self._row.itemsize
        rows = np.fromfile(self._file, self._row, BATCH, offset=start)
        return {"image": rows["image"], "label": rows["label"]}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return map(self.__getitem__, range(len(self)))


def write_rows(file: Path, rows: int, width: int) -> None:
    """Random rows with a label that the first two numbers say, in parts."""
    rng = np.random.default_rng(0)
    row = row_of(width)
    with open(file, "wb") as stream:
        for part in np.array_split(np.arange(rows), max(rows // 100_000, 1)):
            values = np.empty(len(part), row)
            values["image"] = rng.standard_normal((len(part), width), np.float32)
            values["label"] = values["image"][:, 0] * values["image"][:, 1] > 0
            values.tofile(stream)


def data_of(way: str, rows: Rows) -> Any:
    """What ``fit`` is given."""
    if way == "generator":
        return iter(rows)
    if way == "grain":
        import grain

        reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=64)
        return grain.MapDataset.source(rows).seed(0).shuffle().to_iter_dataset(reading)
    parts = list(rows)
    return tuple(np.concatenate([part[key] for part in parts]) for key in ("image", "label"))


def peak() -> float:
    """The resident set's peak so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(way: str, file: Path, width: int) -> dict[str, float]:
    """Train in one way: seconds a step, and megabytes."""
    before = peak()
    rows = Rows(file, width)
    steps = len(rows)
    model = MLP(width, (64, 64), 1, rngs=nnx.Rngs(0))
    moments: list[tuple[int, float, float, float]] = []

    def sample(part: ja.History) -> None:
        moments.append((int(part.step[-1]), time.perf_counter(), time.process_time(), peak()))

    settings = {"steps": steps, "batch_size": BATCH, "callback": sample, "keep_history": False}
    ja.fit(model, optax.adam(1e-3), data_of(way, rows), **settings)
    early = next(moment for moment in moments if moment[0] >= steps // 10)
    last = moments[-1]
    measured = last[0] - early[0]
    return {
        "microseconds": 1e6 * (last[1] - early[1]) / measured,
        "processor_microseconds": 1e6 * (last[2] - early[2]) / measured,
        "megabytes": early[3] - before,
        "growth": last[3] - early[3],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way is not None:
        print(json.dumps(train(arguments.way, arguments.file, arguments.width)))
        return
    results = []
    table = Table(
        "way",
        "µs a step",
        "of the processor",
        "MB over the start",
        "MB from a tenth to the end",
        box=None,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows"
        write_rows(file, arguments.rows, arguments.width)
        size = file.stat().st_size / 2**20
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--file", str(file)]
            command += ["--width", str(arguments.width)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            row = {"way": way, **json.loads(done.stdout.splitlines()[-1])}
            results.append(row)
            table.add_row(way, *(f"{value:.0f}" for name, value in row.items() if name != "way"))
    console = Console(width=100)
    console.print(
        f"{arguments.rows} rows, {size:.0f} MB on disk, on {jax.devices()[0].device_kind}"
    )
    console.print(table)
    content = {"rows": arguments.rows, "width": arguments.width, "file_megabytes": size}
    console.print(save("stream", content | {"batch": BATCH, "ways": results}))


if __name__ == "__main__":
    main()
