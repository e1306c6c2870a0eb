"""Trains a small run that is killed at random moments:
``python killed_run.py FOLDER KILLS SOURCE``.

The source is "arrays" in memory, or a loader of "grain".

Every life is a forked process, so that jax is imported once. It waits between chunks, so that the
moments are spread over all that it does: reading what is there, training, rows, arrays and
checkpoints.
"""

import json
import os
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint  # noqa: F401  # takes seconds, and every life would import it
from flax import nnx

import jaxalign as ja
from jaxalign.models import MLP
from jaxalign.monitoring import of_features


def loader(inputs: np.ndarray, labels: np.ndarray):
    """Batches in an order of its own, with a short one in each epoch."""
    import grain

    rows = [{"image": x, "label": y} for x, y in zip(inputs, labels, strict=True)]
    epochs = [grain.MapDataset.source(rows).seed(epoch).shuffle().batch(8) for epoch in range(14)]
    return grain.MapDataset.concatenate(epochs).to_iter_dataset()


def train(folder: Path, source: str) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((60, 4)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(int)
    data = loader(inputs, labels) if source == "grain" else (inputs, labels)
    model = MLP(4, (8,), 1, rngs=nnx.Rngs(0))
    tap = ja.tap(model, "hidden_*")
    measures = {"mean": of_features(lambda x: x.mean(axis=0)), "size": of_features(jnp.mean)}
    targets = ja.encode_targets(labels[:20])
    monitor = ja.monitor(tap, inputs[:20], targets, measures=measures)
    writer = ja.RunWriter(folder, {"note": "killed"}, resume=True)

    def write(part):
        writer.write(part)
        time.sleep(0.02)

    ja.fit(
        model,
        optax.adam(1e-2),
        data,
        steps=90,
        monitor=monitor,
        every=3,
        batch_size=8,
        chunk=3,
        callback=write,
        checkpoints=ja.Checkpoints(folder / "checkpoints", every=6),
    )
    writer.finish({"status": "finished"})


def life(folder: Path, source: str) -> int:
    """A process that goes on with the run, and its number."""
    process = os.fork()
    if process:
        return process
    try:
        train(folder, source)
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def ended(process: int) -> bool:
    done, status = os.waitpid(process, os.WNOHANG)
    if done and status:
        raise SystemExit("a life ended with an error")
    return bool(done)


def lines(rows: Path) -> int:
    return rows.read_bytes().count(b"\n") if rows.exists() else 0


def files(folder: Path) -> dict[str, bytes]:
    names = ("config.json", "history.jsonl", "mean.hidden_1.npy", "result.json")
    return {name: (folder / name).read_bytes() for name in names}


def main(folder: Path, kills: int, source: str) -> None:
    if source == "grain":
        import grain  # noqa: F401  # as orbax above

    whole = life(folder / "whole", source)
    os.waitpid(whole, 0)
    expected = files(folder / "whole")
    killed = folder / "killed"
    rows = killed / "history.jsonl"
    rng = np.random.default_rng(0)
    steps = []
    while True:
        # Every third is killed in its first second: before it trains, while it reads what is there.
        # The others have to come further, so that the moments are spread on a slow machine too.
        early = len(steps) % 3 == 2
        enough = 0 if early else lines(rows) + rng.integers(1, 10)
        process = life(killed, source)
        began = time.monotonic()
        while not ended(process):
            if len(steps) < kills and lines(rows) >= enough:
                time.sleep(rng.uniform(0, 1.0 if early else 0.1))
                if not ended(process):
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
                    steps.append(lines(rows))
                break
            assert time.monotonic() < began + 300
            time.sleep(0.005)
        if (killed / "result.json").exists():
            assert files(killed) == expected
            if len(steps) == kills:
                break
            shutil.rmtree(killed)
    print(json.dumps(steps))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
