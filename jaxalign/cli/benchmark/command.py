"""`jaxalign benchmark`: how fast, and how right, label spectra are on this machine, beside the SVDs
one would call instead.
"""

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxalign.benchmark.problem import CONDITION, TARGETS, Shape
from jaxalign.benchmark.race import Device, Lane, device_here, race
from jaxalign.benchmark.results import picture, summarize, table
from jaxalign.cli.benchmark.options import Benchmark
from jaxalign.cli.environment import environment
from jaxalign.runs._place import require_writable

COPIES = 6
"""Of Φ that a process holds at its worst."""
LARGE = ("60000x784", "100000x1024", "1000000x256")


def benchmark(config: Benchmark, console: Console) -> int:
    """Race shape after shape; what is done is saved before the next one begins."""
    texts = [*config.shapes, *(LARGE if config.large else ())]
    if not texts:
        raise ValueError("--shapes must name at least one shape, such as 1000x129")
    shapes = [Shape.parse(text) for text in texts]
    require_writable(config.out)
    here, device = _this_machine()
    lanes = [Lane(None, 1)]
    if device.platform == "cpu":
        lanes = _lanes(config.cores)
    console.print(
        f"{device.kind}, {here['host']}: {', '.join(map(str, lanes))}",
        style="bold",
        highlight=False,
    )
    console.print(
        f"float32 data of condition {CONDITION:g}, {TARGETS} targets; "
        "a time is the median of its rounds\n",
        style="dim",
    )
    file = config.out / f"{re.sub(r'[^a-z0-9]+', '-', device.kind.lower())}-throughput.json"
    config.out.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    status = 0
    try:
        for shape in shapes:
            if not _fits(shape, lanes, device, console):
                continue
            with console.status(f"{shape}") as line:
                times = race(shape, lanes, config.seconds, line.update, config.trace)
            results.append(summarize(shape, times))
            console.print(table(results[-1]), "")
            _save(file, results, here)
    except KeyboardInterrupt:
        console.print("Interrupted: what is finished is kept.\n")
        status = 130
    if not results:
        return status or 1
    picture(results, device.kind).savefig(file.with_suffix(".png"), dpi=160)
    console.print(
        f"Picture: {file.with_suffix('.png')}\nNumbers: {file}", highlight=False, soft_wrap=True
    )
    if config.trace is not None:
        console.print(f"Traces:  {config.trace}", highlight=False, soft_wrap=True)
    return status


def _this_machine() -> tuple[dict[str, Any], Device]:
    # In a process of its own: in this one jax would keep an accelerator's memory.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        here = pool.submit(environment).result()
        return here, pool.submit(device_here).result()


def _fits(shape: Shape, lanes: Sequence[Lane], device: Device, console: Console) -> bool:
    """Whether a shape fits into memory; says so if it does not."""
    need = shape.bytes * COPIES * len(lanes)
    if need <= device.memory:
        return True
    console.print(
        f"{shape}: left out, it takes {need / 2**30:.0f} GiB of {device.memory / 2**30:.0f}\n"
    )
    return False


def _save(file: Path, results: Sequence[dict[str, Any]], here: dict[str, Any]) -> None:
    date = datetime.now(UTC).date().isoformat()
    content = {"date": date, "results": results, "environment": here}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _lanes(cores: tuple[int, ...]) -> list[Lane]:
    here = len(os.sched_getaffinity(0))
    wrong = [count for count in cores if not 1 <= count <= here]
    if wrong:
        raise ValueError(
            f"--cores must be from 1 to {here}, as many as this process may use, found {wrong[0]}"
        )
    # Whether one BLAS thread or all are faster depends on the shape: both are tried.
    chosen = sorted({*cores} or {1, here})
    return [Lane(count, blas) for count in chosen for blas in sorted({1, count})]
