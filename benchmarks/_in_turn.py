"""Time several programs in turn, so that disturbances of the machine affect all of them alike."""

import time
from collections.abc import Callable, Mapping

import jax
import numpy as np


def in_turn(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each, (rounds, 2): on the clock, and processor time, which is disturbed less.

    Every second round goes backwards. Each program is called once before, to compile. Every call
    waits for its result.
    """
    for run in runs.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for i in range(rounds):
        for name in list(runs)[:: 1 if i % 2 == 0 else -1]:
            clock = time.perf_counter()
            processors = time.process_time()
            jax.block_until_ready(runs[name]())
            seconds[name].append((time.perf_counter() - clock, time.process_time() - processors))
    return {name: np.array(times) for name, times in seconds.items()}
