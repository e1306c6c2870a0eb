"""`jaxalign benchmark`: how fast, and how right, label spectra are on this machine, beside the SVDs
one would call instead.
"""

import json
import os
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxalign.benchmark.problem import CONDITION, TARGETS, Shape
from jaxalign.benchmark.race import Lane, device_here, race
from jaxalign.benchmark.results import picture, summarize, table
from jaxalign.cli.environment import environment

SHAPES = ("1000x129", "1000x513", "10000x512", "64x1000x129", "256x512x64")
COPIES = 6  # of Φ that a process holds at its worst
LARGE = ("60000x784", "100000x1024", "1000000x256")


@dataclass(frozen=True)
class Benchmark:
    """Time label spectra against numpy, jax, torch and scikit-learn, in turn, with the error beside
    every time.
    """

    shapes: tuple[str, ...] = SHAPES
    """Rows x columns of one matrix, or number x rows x columns of a batch."""
    large: bool = False
    """Add 60000x784, 100000x1024 and 1000000x256, as memory allows: half an hour on two cores."""
    seconds: float = 20.0
    """For each shape's rounds; three rounds at least, a hundred at most."""
    out: Path = Path("benchmark")
    """Folder for the numbers (JSON) and the picture, named after the device."""
    cores: tuple[int, ...] = ()
    """Numbers of CPU cores to try, the fastest of which counts; by default 1 and all. An
    accelerator takes none.
    """


def benchmark(config: Benchmark, console: Console) -> int:
    """Race shape after shape; what is done is saved before the next one begins."""
    shapes = [Shape.parse(text) for text in (*config.shapes, *(LARGE if config.large else ()))]
    if not shapes:
        raise ValueError("--shapes must name at least one shape, such as 1000x129")
    with ProcessPoolExecutor(
        1, get_context("spawn")
    ) as pool:  # in this process jax would keep an accelerator's memory
        described, device = pool.submit(environment).result(), pool.submit(device_here).result()
    lanes = _lanes(config.cores) if device.platform == "cpu" else [Lane(None, 1)]
    file = config.out / f"{re.sub(r'[^a-z0-9]+', '-', device.kind.lower())}-throughput.json"
    config.out.mkdir(parents=True, exist_ok=True)
    console.print(
        f"[bold]{device.kind}[/], {described['host']}: {', '.join(map(str, lanes))}",
        highlight=False,
    )
    console.print(
        f"[dim]float32 data of condition {CONDITION:g}, {TARGETS} targets; a time is the median of its rounds[/]\n"
    )
    results: list[dict[str, Any]] = []
    status = 0
    try:
        for shape in shapes:
            if (need := shape.bytes * COPIES * len(lanes)) > device.memory:
                console.print(
                    f"{shape}: left out, it takes {need / 2**30:.0f} GiB of {device.memory / 2**30:.0f}\n"
                )
                continue
            with console.status(f"{shape}") as line:
                times = race(shape, lanes, config.seconds, line.update)
            results.append(summarize(shape, times))
            console.print(table(results[-1]), "")
            content = {
                "date": datetime.now(UTC).date().isoformat(),
                "results": results,
                "environment": described,
            }
            file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        console.print("Interrupted: what is finished is kept.\n")
        status = 130
    if not results:
        return status or 1
    picture(results, device.kind).savefig(file.with_suffix(".png"), dpi=160)
    console.print(
        f"Picture: {file.with_suffix('.png')}\nNumbers: {file}", highlight=False, soft_wrap=True
    )
    return status


def _lanes(cores: tuple[int, ...]) -> list[Lane]:
    here = len(os.sched_getaffinity(0))
    if wrong := [c for c in cores if not 1 <= c <= here]:
        raise ValueError(
            f"--cores must be from 1 to {here}, as many as this process may use, found {wrong[0]}"
        )
    chosen = sorted({*cores} or {1, here})
    return [Lane(c, blas) for c in chosen for blas in sorted({1, c})]
