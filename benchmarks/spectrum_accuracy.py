"""Is the moments route faster and more accurate than a float32 SVD, on matrices of the demo's size?

    python benchmarks/spectrum_accuracy.py

1000 × 129 float32 with singular values spread geometrically over six decades, ten target columns. Both routes are jitted,
run in turn in one process; medians. Accuracy is against numpy's SVD of the same float32 numbers in float64.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import jax
import jax.numpy as jnp
import numpy as np
from _results import save

import jaxalign as ja


def example(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((m, d)))[0] for m in (n, d))
    return (u * np.geomspace(1, 1e-6, d) @ v.T).astype(np.float32), rng.standard_normal((n, k)).astype(np.float32)


@jax.jit
def float32_svd(features: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    u, sigma, _ = jnp.linalg.svd(features, full_matrices=False)
    return sigma, (u.T @ targets) ** 2


@jax.jit
def moments(features: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    s = ja.spectrum(features, targets, method="moments")
    return s.singular_values, s.energy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(1000, 129, 10), metavar=("N", "D", "K"))
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    features, targets = example(*arguments.shape)
    u, sigma, _ = np.linalg.svd(features.astype(float), full_matrices=False)
    energy = (u.T @ targets) ** 2
    # Directions of float32 data under the rank tolerance count to none of the two.
    kept = sigma > sigma[0] * np.finfo(np.float32).eps * max(features.shape)

    routes = {"moments": moments, "float32 svd": float32_svd}
    on_device = jax.device_put((features, targets))
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    for round_ in range(arguments.rounds + 3):
        for name, route in routes.items():
            begin = time.perf_counter()
            jax.block_until_ready(route(*on_device))
            if round_ >= 3:
                seconds[name].append(time.perf_counter() - begin)

    result = {}
    for name, route in routes.items():
        found_sigma, found_energy = (np.asarray(x, float) for x in route(*on_device))
        curve_error = np.cumsum(found_energy - energy, axis=0)[kept] / (targets.astype(float) ** 2).sum(axis=0)
        result[name] = {
            "milliseconds": 1e3 * float(np.median(seconds[name])),
            "smallest_sigma_relative_error": float(abs(found_sigma[-1] / sigma[-1] - 1)),
            "curve_error": float(abs(curve_error).max()),
        }
        print(f"{name:12s} " + "  ".join(f"{key} {value:.2g}" for key, value in result[name].items()))
    ratio = float(np.median(np.divide(seconds["float32 svd"], seconds["moments"])))
    print(f"a float32 SVD takes {ratio:.1f} times as long")
    print(save("spectrum-accuracy", {**vars(arguments), "routes": result, "time_ratio": ratio}))


if __name__ == "__main__":
    main()
