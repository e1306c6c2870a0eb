"""One process of a computation over several, started by tests/test_processes.py: its rows, the
others', the same answer.
"""

import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign import similarity


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((64, 6)), rng.standard_normal((64, 2))


def main(address: str, processes: int, process: int, task: str) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(
        address, processes, process, initialization_timeout=60, heartbeat_timeout_seconds=10
    )
    features, targets = data()
    own = slice(process * 64 // processes, (process + 1) * 64 // processes)
    if task == "die" and process == 1:
        os._exit(3)
    if task == "stream" or task == "die":
        with jax.enable_x64(True):
            batches = [
                (features[own][i : i + 10], targets[own][i : i + 10]) for i in range(0, 32, 10)
            ]
            for each in (ja.moments, ja.triangle):
                whole = ja.sum_over_processes(ja.accumulate(batches, each))
                report(ja.spectrum(whole), ja.spectrum(features, targets, method="svd"))
        # About the means of each process, which differ.
        shifted = features + np.arange(64)[:, None]
        pair = ja.sum_over_processes(similarity.pair_moments(shifted[own], targets[own]))
        np.testing.assert_allclose(
            similarity.linear_cka(pair), similarity.linear_cka(shifted, targets), rtol=1e-5
        )
        print("agrees", flush=True)
    else:
        mesh = jax.make_mesh((2 * processes,), ("rows",))
        with jax.enable_x64(True):
            split = NamedSharding(mesh, P("rows"))
            held = [
                jax.make_array_from_process_local_data(split, x[own]) for x in (features, targets)
            ]
            for method in ("moments", "refined", "triangular"):
                found = ja.sharded(mesh, rows="rows", method=method)(*held)
                report(found, ja.spectrum(features, targets, method="svd"))
    jax.distributed.shutdown()


def report(found: ja.Spectrum, expected: ja.Spectrum) -> None:
    """Fail here, in the process, unless both agree to 1e-12."""
    arrays = (found.singular_values, found.energy, found.total)
    wanted = (expected.singular_values, expected.energy, expected.total)
    for a, b in zip(arrays, wanted, strict=True):
        np.testing.assert_allclose(
            np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-12 * float(np.abs(b).max())
        )
    print("agrees", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
