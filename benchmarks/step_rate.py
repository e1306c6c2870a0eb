"""What does measuring every layer at every step cost?

    python benchmarks/step_rate.py

The recipe of `jaxalign train` (batch 64, probe of 1000 images, three layers of width 128), without and with a probe, in turn.
Times begin when the first chunk is done, so compilation is out; medians over the rounds, ratios within a round.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import numpy as np
import optax
from _results import save
from flax import nnx

import jaxalign as ja
from jaxalign.data import fashion_mnist
from jaxalign.models import MLP

CHUNK = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=511)
    arguments = parser.parse_args()
    images = fashion_mnist(classes=(2, 4)).train
    model = MLP(784, (128, 128, 128), 1, rngs=nnx.Rngs(0))
    probe = ja.probe(ja.tap(model, "hidden_*"), images.inputs, ja.encode_targets(images.labels))

    def rate(probe: ja.Probe | None) -> float:
        """Steps a second between the first chunk that reaches the host and the last."""
        times: list[float] = []
        observe = lambda part: times.append(time.perf_counter())
        settings = {"steps": arguments.steps, "probe": probe, "chunk": CHUNK, "observe": observe}
        ja.fit(model, optax.adam(1e-3), images.inputs, images.labels, **settings)
        # The host is one chunk behind: the last two arrivals belong to one wait.
        return CHUNK * (len(times) - 2) / (times[-2] - times[0])

    rounds = [{"plain": rate(None), "measured": rate(probe)} for _ in range(arguments.rounds)]
    medians = {kind: float(np.median([r[kind] for r in rounds])) for kind in ("plain", "measured")}
    ratio = float(np.median([r["plain"] / r["measured"] for r in rounds]))
    print(
        f"steps/s: {medians['plain']:.0f} plain, {medians['measured']:.0f} measured; {ratio:.1f} times as long with measuring"
    )
    print(save("step-rate", {**vars(arguments), "steps_per_second": medians, "time_ratio": ratio, "rounds_measured": rounds}))


if __name__ == "__main__":
    main()
