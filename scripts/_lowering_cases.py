"""The public operations on arrays, and the shapes they are lowered with: for
``lower_everywhere.py`` and ``compile_for_tpu.py``.

No case computes anything: its arguments are shapes, and its function is only traced and lowered.
The shapes are small, because what a program consists of depends on the method and on which side
is the longer one. One case is larger: a TPU has another eigensolver from 257 columns on.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from _lowering_rooms import room_operations, tangents
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxalign as ja
from jaxalign import similarity
from jaxalign.alignment import spectrum_and_null

DEVICES = 4
METHODS = ("auto", "moments", "refined", "triangular", "svd", "split")

# The cases that do not lower for a TPU: they contain a float64 svd. For a TPU, jax replaces it by a
# function that it traces during lowering. The `jax.enable_x64` around the operation is no longer
# active then: float64 becomes float32 inside the function, and the types do not match.
REFUSED_BY_TPU = {
    "quadrature[float64]",
    "quadrature_bounds[float64]",
}


class Case(NamedTuple):
    """A function and the arguments (arrays or their shapes) that it is lowered with."""

    name: str
    function: Callable[..., Any]
    arguments: tuple


def floats(*shape: int, sharding: NamedSharding | None = None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)


FEATURES = floats(200, 40)
TARGETS = floats(200, 3)
WIDE_FEATURES = floats(30, 70)
WIDE_TARGETS = floats(30, 3)
FEATURE_STACK = floats(5, 200, 40)
TARGET_STACK = floats(5, 200, 3)


def thresholds() -> jax.Array:
    return jnp.linspace(0.0, 10.0, 8)


def array_cases(mesh: Mesh) -> Iterator[Case]:
    """Every operation on features, targets and spectra; the sharded ones on a mesh of one axis."""
    yield from spectrum_cases()
    yield from moment_cases()
    yield from quadrature_cases()
    yield from measure_cases()
    yield from feature_cases()
    yield from null_cases()
    yield from loss_cases()
    yield from similarity_cases()
    yield from room_cases()
    yield from sharded_cases(mesh)


# One representation, by each method and under each transformation.


def area(features, targets, method: str):
    return ja.alignment_area(ja.spectrum(features, targets, method=method)).sum()


def scanned(features, targets, method: str):
    def step(carry, pair):
        return carry, ja.spectrum(*pair, method=method)

    return jax.lax.scan(step, 0, (features, targets))


def two_layers(first, second, targets, method: str):
    return ja.spectra([first, second], targets, method=method)


def spectrum_cases() -> Iterator[Case]:
    matrix = (FEATURES, TARGETS)
    wide = (WIDE_FEATURES, WIDE_TARGETS)
    stack = (FEATURE_STACK, TARGET_STACK)
    for method in METHODS:
        solve = partial(ja.spectrum, method=method)
        gradient = jax.grad(partial(area, method=method))
        yield Case(f"spectrum[{method}]", solve, matrix)
        yield Case(f"spectrum[{method}] wide", solve, wide)
        yield Case(f"spectrum[{method}] centred", partial(solve, centered=True), matrix)
        yield Case(f"spectrum[{method}] grad", gradient, matrix)
        yield Case(f"spectrum[{method}] vmap", jax.vmap(solve), stack)
        yield Case(f"spectrum[{method}] vmap grad", jax.vmap(gradient), stack)
        yield Case(f"spectrum[{method}] scan", partial(scanned, method=method), stack)
        with_null = partial(spectrum_and_null, method=method)
        yield Case(f"spectrum_and_null[{method}]", with_null, matrix)
        yield Case(f"spectra[{method}] stack", partial(ja.spectra, method=method), stack)
        layers = partial(two_layers, method=method)
        yield Case(f"spectra[{method}] list", layers, (FEATURES, floats(200, 33), TARGETS))


# What adds up over batches, and what is computed from the sums.


def merged_moments(features, targets):
    return ja.spectrum(ja.moments(features, targets) + ja.moments(features, targets))


def centred_moments(features, targets):
    return ja.spectrum(ja.moments(features, targets), centered=True)


def second_pass(features, targets):
    basis = ja.basis(ja.moments(features, targets))
    return ja.spectrum(ja.moments(features, targets, basis=basis), basis=basis)


def merged_triangles(features, targets):
    return ja.spectrum(ja.triangle(features, targets) + ja.triangle(features, targets))


def moment_cases() -> Iterator[Case]:
    matrix = (FEATURES, TARGETS)
    yield Case("moments", ja.moments, matrix)
    yield Case("moments weighted", ja.moments, (FEATURES, TARGETS, floats(200)))
    yield Case("moments merged, spectrum", merged_moments, matrix)
    yield Case("moments centred, spectrum", centred_moments, matrix)
    yield Case(
        "moments of 300 columns, spectrum", merged_moments, (floats(400, 300), floats(400, 3))
    )
    yield Case("moments, basis, second pass", second_pass, matrix)
    yield Case("triangles merged, spectrum", merged_triangles, matrix)


def bounds(features, targets, dtype: str | None):
    return ja.quadrature_bounds(
        ja.quadrature(features, targets, order=8, dtype=dtype), thresholds()
    )


def quadrature_of_products(features, targets):
    products = (lambda v: features @ v, lambda u: features.T @ u)
    return ja.quadrature(products, targets, order=8)


def quadrature_cases() -> Iterator[Case]:
    matrix = (FEATURES, TARGETS)
    for dtype in (None, "float64", "float32"):
        yield Case(f"quadrature[{dtype}]", partial(ja.quadrature, order=8, dtype=dtype), matrix)
        yield Case(f"quadrature_bounds[{dtype}]", partial(bounds, dtype=dtype), matrix)
    yield Case("quadrature of products", quadrature_of_products, matrix)


def measures(sigma, energy):
    spectrum = ja.Spectrum(
        singular_values=sigma,
        energy=energy,
        total=jnp.sum(energy, axis=0),
        num_samples=jnp.asarray(200),
        rank=jnp.asarray(len(sigma)),
        route=jnp.asarray(0),
        dtype=sigma.dtype.name,
    )
    return (
        ja.alignment_curve(spectrum, thresholds()),
        ja.alignment_curve(spectrum, 2.0),
        ja.alignment_curve(ja.isotropic_null(spectrum), thresholds()),
        ja.alignment_area(spectrum),
        ja.aligned_rank(spectrum),
        ja.predicted_convergence(spectrum, jnp.arange(4.0)),
        ja.smooth_alignment(spectrum, 2.0),
    )


def measure_cases() -> Iterator[Case]:
    yield Case("measures of a spectrum", measures, (floats(40), floats(40, 3)))


def masked_mean(activations, mask):
    return ja.prepare(activations, reduce="mean", mask=mask)


def feature_cases() -> Iterator[Case]:
    mask = jax.ShapeDtypeStruct((200, 5), jnp.bool_)
    labels = jax.ShapeDtypeStruct((200,), jnp.int32)
    yield Case("prepare", ja.prepare, (floats(200, 4, 5, 3),))
    yield Case("prepare masked mean", masked_mean, (floats(200, 5, 3), mask))
    yield Case("encode_targets", partial(ja.encode_targets, classes=(0, 1, 2)), (labels,))


def permutations(features, targets):
    key = jax.random.key(0)
    return ja.permutation_curves(features, targets, thresholds(), key=key, draws=5)


def bootstrap(features, targets):
    folds = jax.vmap(ja.moments)(features, targets)
    return ja.bootstrap_curves(folds, thresholds(), key=jax.random.key(0), draws=5)


def null_cases() -> Iterator[Case]:
    yield Case("permutation_null", ja.permutation_null, (FEATURES, TARGETS))
    yield Case("permutation_curves", permutations, (FEATURES, TARGETS))
    yield Case("bootstrap_curves", bootstrap, (FEATURE_STACK, TARGET_STACK))


def label_alignment(weights, features, targets):
    return ja.label_alignment_loss(weights, features, targets, features, rank=3, unlabelled_rank=3)


def label_alignment_head(features, targets):
    return ja.label_alignment_weights(features, targets, features, rank=3, unlabelled_rank=3)


def loss_cases() -> Iterator[Case]:
    head = floats(40, 3)
    yield Case("label_alignment_loss grad", jax.grad(label_alignment), (head, FEATURES, TARGETS))
    yield Case("label_alignment_weights", label_alignment_head, (FEATURES, TARGETS))


SIMILARITIES = {
    "linear_cka": partial(similarity.linear_cka, estimator="debiased"),
    "rbf_cka": similarity.rbf_cka,
    "cca": similarity.cca,
    "svcca": similarity.svcca,
    "pwcca": similarity.pwcca,
    "procrustes_distance": similarity.procrustes_distance,
    "mutual_knn": similarity.mutual_knn,
    "cknna": similarity.cknna,
    "rsa": similarity.rsa,
    "rsa of ranks": partial(similarity.rsa, compare="spearman"),
}
OF_SUMS = ("linear_cka", "cca", "pwcca", "procrustes_distance", "rsa")
WITHOUT_DERIVATIVE = ("pwcca", "mutual_knn", "cknna", "rsa of ranks")


def of_merged(measure: Callable[..., jax.Array], x, y):
    return measure(similarity.pair_moments(x, y) + similarity.pair_moments(x, y))


def with_gradient(measure: Callable[..., jax.Array], x, y):
    return jax.value_and_grad(lambda x: measure(x, y).sum())(x)


def similarity_cases() -> Iterator[Case]:
    pair = (FEATURES, floats(200, 30))
    wide = (WIDE_FEATURES, floats(30, 50))
    for name, measure in SIMILARITIES.items():
        yield Case(f"{name}, wide", measure, wide)
        if name in WITHOUT_DERIVATIVE:
            yield Case(name, measure, pair)
        else:
            yield Case(f"{name}, gradient", partial(with_gradient, measure), pair)
    for name in OF_SUMS:
        yield Case(f"{name} of pair moments", partial(of_merged, SIMILARITIES[name]), pair)
    yield Case("linear_cka_null", partial(of_merged, similarity.linear_cka_null), pair)
    yield Case("grid", lambda x, y: similarity.grid([x, y], [y]), pair)


def room_cases() -> Iterator[Case]:
    for name, function in room_operations():
        yield Case(name, function, (FEATURES, TARGETS))
    yield Case("tangent", tangents, (floats(40), FEATURES, floats(200)))


def sharded_cases(mesh: Mesh) -> Iterator[Case]:
    split = NamedSharding(mesh, P(*mesh.axis_names))
    matrix = (floats(200, 40, sharding=split), floats(200, 3, sharding=split))
    batch = (floats(8, 200, 40, sharding=split), floats(8, 200, 3, sharding=split))
    for method in METHODS:
        if method != "svd":  # rows over devices have no plain SVD
            solve = ja.sharded(mesh, rows=mesh.axis_names[0], method=method)
            yield Case(f"sharded rows[{method}]", solve, matrix)
        solve = ja.sharded(mesh, batch=mesh.axis_names[0], method=method)
        yield Case(f"sharded batch[{method}]", solve, batch)
