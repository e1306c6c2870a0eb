"""Time several programs fairly: in turn, so that whatever else the machine does falls on all of
them alike.
"""

import time
from collections.abc import Callable, Mapping

import jax
import numpy as np


def in_turn(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each, (rounds, 2): on the clock, and of all processors together, which other
    programs disturb less.

    Every second round goes backwards. Each is called once before, to compile; what it returns is
    waited for.
    """
    for run in runs.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for i in range(rounds):
        for name in list(runs) if i % 2 == 0 else list(runs)[::-1]:
            clock, processors = time.perf_counter(), time.process_time()
            jax.block_until_ready(runs[name]())
            seconds[name].append((time.perf_counter() - clock, time.process_time() - processors))
    return {name: np.array(times) for name, times in seconds.items()}
