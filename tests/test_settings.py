"""Users' own settings of jax change no result: every public operation once under each."""

from contextlib import contextmanager
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign import (
    alignment,
    geometry,
    inspection,
    learning,
    models,
    similarity,
    statistics,
    training,
    transferability,
)
from jaxalign.models._depthwise import DepthwiseConv


@contextmanager
def strict():
    """Three settings that raise, whose message says which it was, one that loses digits, and x64,
    with which more dtypes meet.
    """
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
        jax.debug_nans(True),
        jax.default_matmul_precision("bfloat16"),
    ):
        yield


SETTINGS = {
    "promotion and NaN raise, products in bfloat16, x64": strict,
    "no jit": jax.disable_jit,
}
# Without jit each of their steps is compiled by itself, hundreds of them.
LONG_WITHOUT_JIT = {
    "bootstrap_curves",
    "derivative",
    "geometry",
    "learning",
    "monitor by quadrature",
    "quadrature",
    "similarity",
    "transferability",
    "similarity of samples, and by chance",
    "similarity in blocks, and a derivative",
    "derivative in float32",
    "quadrature of products",
    "spectra of a stack",
    "triangle of many targets",
}

N = 16
TAU = [0.0, 1.0, 2.0]
KEY = jax.random.key(0)
rng = np.random.default_rng(0)
PHI = rng.standard_normal((N, 3)).astype(np.float32)
Y = np.sign(rng.standard_normal((N, 2))).astype(np.float32)
LABELS = (PHI[:, 0] > 0).astype(int)
MAPS = rng.standard_normal((N, 2, 2, 3)).astype(np.float32)
MASK = np.ones((N, 2, 2), bool)
HALVES = [(PHI[:8], Y[:8]), (PHI[8:], Y[8:])]
MEASURES = {"area": ja.alignment_area, "null": ja.monitoring.of_null(ja.alignment_area)}


def on_device(function):
    """``function`` of traced Φ and Y, as a user's own jitted program calls it."""
    return jax.jit(function)(jnp.asarray(PHI), jnp.asarray(Y))


def differentiated(route, features=PHI):
    def loss(phi, y):
        s = ja.spectrum(phi, y, method=route, centered=route == "moments")
        return (ja.alignment_area(s) + ja.smooth_alignment(s, 1.0)).sum()

    return jax.jit(jax.grad(loss, (0, 1)))(jnp.asarray(features), jnp.asarray(Y))


def of_spectrum(measure):
    return measure(ja.spectrum(PHI, Y))


def curves():
    permuted = ja.permutation_curves(PHI, Y, TAU, key=KEY, draws=2)
    return permuted, permuted.p_values


def bootstrapped():
    folds = jax.vmap(ja.moments)(PHI.reshape(2, 8, 3), Y.reshape(2, 8, 2))
    return ja.bootstrap_curves(folds, TAU, key=KEY, draws=2, centered=True)


def over_devices(**axis):
    return ja.sharded(jax.make_mesh((2,), ("data",)), **axis, centered=True)


def bounds():
    q = ja.quadrature(PHI, Y, order=2)
    return ja.quadrature_bounds(q, TAU), ja.alignment_curve(q.spectrum, TAU)


def of_products():
    products = (lambda v: jnp.asarray(PHI) @ v, lambda u: jnp.asarray(PHI).T @ u)
    return jax.jit(lambda y: ja.quadrature(products, y, order=2).spectrum.singular_values)(Y)


@cache
def network():
    return models.MLP(3, (4,), 1, rngs=nnx.Rngs(0))


def tapped():
    return ja.tap(network(), "hidden_*")


def monitor(**settings):
    return ja.monitor(tapped(), PHI, Y, **{"measures": MEASURES} | settings)


def batch_monitor():
    encode = partial(ja.encode_targets, classes=(0, 1))
    return ja.batch_monitor(tapped(), encode, N, measures=MEASURES)


def monitored(**settings):
    return monitor(**settings)(nnx.state(network()))


def observed():
    area = ja.observe(lambda w: ja.alignment_area(ja.spectrum(PHI @ w, Y)))
    w = jnp.eye(3, dtype=jnp.float32)
    return area.update(w, area.init(w), w)[1].records


def trained():
    # Not by Adam, which strict promotion of dtypes breaks: optax takes a float to the power of an
    # integer there.
    monitors = {"fixed": monitor(), "batch": batch_monitor()}
    settings = {"steps": 1, "batch_size": N, "chunk": 1, "monitor": monitors}
    state, history = ja.fit(network(), optax.sgd(1e-2), PHI, LABELS, **settings)
    layers = [history.layers[name]["null"] for name in ("fixed/hidden_1", "batch/hidden_1")]
    return state.model, history.loss, layers


def inspected():
    result = inspection.inspect(tapped(), nnx.state(network()), HALVES[:1], centered=True)
    return result.spectra, result.nulls


def tagged():
    return ja.reap(lambda x: ja.tag(x * 2, "double").sum())(jnp.asarray(PHI))


def convolved():
    kernel = jnp.ones((2, 2, 3, 1), jnp.float32)
    convolution = partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    loss = jax.grad(lambda kernel, images: convolution(images, kernel).sum())
    return training.fast_convolutions(loss)(kernel, jnp.asarray(MAPS))


def chosen_optimizer():
    chosen = training.one_of([optax.sgd(1.0), optax.sgd(0.5)])(jnp.asarray(1))
    return chosen.update(jnp.asarray(PHI), chosen.init(jnp.asarray(PHI)))[0]


OPERATIONS = {
    "prepare": lambda: ja.prepare(PHI),
    "prepare maps": lambda: ja.prepare(MAPS, reduce="mean", mask=MASK),
    "prepare maps in a program": lambda: jax.jit(
        lambda x, mask: ja.prepare(x, reduce="mean", mask=mask)
    )(MAPS, MASK.astype(int)),
    "pool": lambda: [ja.pool(MAPS, reduce=how) for how in ("flatten", "mean", "samples", "cls")],
    "unit_rows": lambda: ja.unit_rows(PHI),
    "encode_targets": lambda: ja.encode_targets(LABELS),
    "encode_targets in a program": lambda: jax.jit(partial(ja.encode_targets, classes=(0, 1, 2)))(
        LABELS
    ),
    "spectrum": lambda: ja.spectrum(PHI, Y),
    "spectrum, centered": lambda: ja.spectrum(PHI, Y, centered=True),
    **{
        f"spectrum in a program, {route}": partial(
            on_device, partial(ja.spectrum, method=route, centered=route == "moments")
        )
        for route in ("moments", "refined", "triangular", "svd")
    },
    "spectrum of small dtypes": lambda: jax.jit(ja.spectrum)(
        jnp.asarray(PHI, jnp.bfloat16), Y.astype(np.int8)
    ),
    "spectrum of two dtypes": lambda: jax.jit(ja.spectrum)(
        PHI, jnp.asarray(Y, jax.dtypes.canonicalize_dtype(np.float64))
    ),
    "spectrum of few rows": lambda: jax.jit(ja.spectrum)(PHI[:2], Y[:2]),
    "derivative": lambda: differentiated("moments"),
    "derivative in float32": lambda: differentiated("triangular"),
    "derivative at zero": lambda: differentiated("moments", 0 * PHI),
    "spectra": lambda: ja.spectra({"a": PHI, "b": PHI[:, :2]}, Y),
    "spectra in a program": lambda: on_device(lambda x, y: ja.spectra([x, x[:, :2]], y)),
    "spectra of a stack": lambda: ja.spectra(np.stack([PHI, PHI]), Y),
    "moments": lambda: ja.spectrum(ja.moments(PHI, Y, np.ones(N)), centered=True),
    "moments in a program": lambda: on_device(
        lambda x, y: ja.spectrum(ja.moments(x, y, np.ones(N)) + ja.moments(x, y))
    ),
    "accumulate": lambda: ja.sum_over_processes(ja.accumulate(HALVES)).products,
    "a second pass": lambda: ja.stream_spectrum(HALVES, method="refined", centered=True),
    "triangle": lambda: ja.spectrum(ja.accumulate(HALVES, ja.triangle)),
    "triangle of many targets": lambda: jax.jit(
        lambda x, y: ja.spectrum(ja.triangle(x, y, np.ones(N)), centered=True)
    )(PHI, np.tile(Y, 3)),
    "rows over devices": lambda: over_devices(rows="data")(PHI, Y),
    "batches over devices": lambda: over_devices(batch="data")(
        np.stack([PHI, PHI]), np.stack([Y, Y])
    ),
    "quadrature": bounds,
    "quadrature of products": of_products,
    "alignment_curve": lambda: of_spectrum(lambda s: ja.alignment_curve(s, TAU)),
    "alignment_curve at one threshold": lambda: of_spectrum(lambda s: ja.alignment_curve(s, 1.0)),
    "aligned_rank": lambda: of_spectrum(lambda s: ja.aligned_rank(s, np.float64(0.5))),
    "isotropic_null": lambda: of_spectrum(ja.isotropic_null),
    "condition and error": lambda: of_spectrum(lambda s: (s.condition, s.error)),
    "smooth_alignment": lambda: of_spectrum(lambda s: ja.smooth_alignment(s, 1.0)),
    "predicted_convergence": lambda: of_spectrum(lambda s: ja.predicted_convergence(s, [0, 1, 9])),
    "predicted_convergence by a step": lambda: of_spectrum(
        lambda s: ja.predicted_convergence(s, np.arange(3), step_size=np.float64(0.01))
    ),
    "spectrum_and_null": lambda: alignment.spectrum_and_null(PHI, Y, centered=True),
    "permutation_null": lambda: ja.permutation_null(PHI, Y),
    "permutation_null of moments": lambda: ja.permutation_null(ja.moments(PHI, Y)),
    "permutation_null of a triangle": lambda: ja.permutation_null(ja.triangle(PHI, Y)),
    "permutation_curves": curves,
    "bootstrap_curves": bootstrapped,
    "label_alignment_weights": lambda: ja.label_alignment_weights(
        PHI, Y, PHI, rank=1, unlabelled_rank=1, strength=np.float64(0.5)
    ),
    "label_alignment_loss": lambda: ja.label_alignment_loss(
        np.ones((3, 2)), PHI, Y, PHI, rank=1, unlabelled_rank=1, strength=np.float64(0.5)
    ),
    "measure": lambda: ja.measure(PHI, LABELS),
    "similarity": lambda: [
        similarity.linear_cka(PHI, PHI[:, :2], estimator="debiased"),
        similarity.cka(PHI @ PHI.T, Y @ Y.T),
        similarity.mutual_knn(PHI, PHI[:, :2], k=3),
        similarity.grid([PHI], [Y]),
    ],
    "similarity in blocks, and a derivative": lambda: [
        similarity.rbf_cka(PHI, PHI[:, :2]),
        similarity.cknna(PHI, PHI[:, :2], k=5),
        similarity.rsa(PHI, PHI[:, :2], compare="spearman"),
        jax.grad(similarity.svcca)(jnp.asarray(PHI), jnp.asarray(PHI[:, :2])),
    ],
    "similarity of pair moments": lambda: [
        measure(similarity.pair_moments(PHI, Y) + similarity.pair_moments(PHI, Y))
        for measure in (
            similarity.linear_cka_null,
            similarity.pwcca,
            similarity.bures_similarity,
            similarity.rsa,
        )
    ],
    "similarity of samples, and by chance": lambda: [
        similarity.sampled_linear_cka(PHI, MAPS.reshape(N, -1), columns=20, key=KEY),
        similarity.permutation_null(PHI, PHI[:, :2], similarity.rsa, key=KEY, draws=2).p_values,
        similarity.mean_squared_cca_chance(PHI, Y),
    ],
    "learning": lambda: of_spectrum(
        lambda s: [
            learning.gcv(s, 1.0),
            learning.learning_curve(s, [5.0, 50.0], ridge=0.5),
            learning.learning_curve(s, 5.0, ridge="best"),
            learning.sample_complexity(s, 0.9),
        ]
    ),
    "geometry": lambda: [
        of_spectrum(geometry.rankme),
        geometry.participation_ratio(PHI),
        geometry.two_nn(PHI),
        geometry.lidar(PHI, LABELS),
        geometry.neural_collapse(PHI, LABELS, np.ones((2, 3), np.float32)),
    ],
    "transferability": lambda: [
        of_spectrum(transferability.log_me),
        transferability.h_score(PHI, LABELS, shrinkage=True).adjusted,
        transferability.leep(jax.nn.softmax(jnp.asarray(PHI)), LABELS),
    ],
    "statistics": lambda: (
        statistics.mean_interval(jnp.asarray(Y)),
        statistics.paired_effect(jnp.asarray(PHI[:, 0]), jnp.asarray(PHI[:, 1])),
        statistics.holm(jnp.asarray([0.01, 0.5])),
    ),
    "tag and reap": tagged,
    "monitor, deferred": lambda: monitored(defer=True),
    "monitor by quadrature": lambda: monitored(
        method="quadrature", order=1, centered=True, measures={"area": ja.alignment_area}
    ),
    "observe": observed,
    "inspect": inspected,
    "classification": lambda: training.classification(jnp.asarray(PHI), LABELS),
    "logistic": lambda: training.logistic(jnp.asarray(PHI[:, :2]), Y),
    "squared_error": lambda: training.squared_error(jnp.asarray(PHI[:, :2]), Y),
    "one_of": chosen_optimizer,
    "fast_convolutions": convolved,
    "fit, monitor, batch_monitor": trained,
}


def results(call):
    return [np.asarray(x, np.float64) for x in jax.tree.leaves(call())]


usual = cache(lambda name: results(OPERATIONS[name]))

FAST = {"spectrum", "spectrum, centered", "alignment_curve", "aligned_rank", "isotropic_null"}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        pytest.param(
            name, setting, id=f"{name}-{said}", marks=() if name in FAST else pytest.mark.slow
        )
        for name in OPERATIONS
        for said, setting in SETTINGS.items()
        if setting is strict or name not in LONG_WITHOUT_JIT
    ],
)
def test_no_setting_changes_a_result(name, setting):
    expected = usual(name)
    with setting():
        found = results(OPERATIONS[name])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


IMAGES = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)
TOKENS = jax.ShapeDtypeStruct((2, 4), jnp.int32)
MODELS = {
    "mlp": (partial(models.MLP, 16 * 16 * 3, (4,), 2), IMAGES),
    "cnn": (partial(models.CNN, (16, 16, 3), (4,), 4, 2), IMAGES),
    "resnet": (
        partial(models.ResNet, models.BasicBlock, (1,) * 4, 2, stem="cifar", width=4),
        IMAGES,
    ),
    "vgg": (partial(models.VGG, ((4,),), 2, batch_norm=True, hidden=4), IMAGES),
    "depthwise": (partial(DepthwiseConv, 3, 3), IMAGES),
    "vit": (partial(models.ViT, 8, 1, 2, 2, image=16, patch=8), IMAGES),
    "decoder": (partial(models.Decoder, 20, 8, 1, 2, positions=4), TOKENS),
    "bert": (partial(models.BERT, 20, 8, 1, 2, positions=4), TOKENS),
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", [strict, partial(jax.enable_x64, True)], ids=["strict", "x64"])
@pytest.mark.parametrize("name", MODELS)
def test_no_setting_changes_what_models_are_of(name, setting):
    """Shapes and dtypes of parameters and outputs."""
    build, inputs = MODELS[name]

    def traced():
        model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
        outputs = nnx.eval_shape(lambda model, x: model(x), model, inputs)
        return [(x.shape, x.dtype) for x in jax.tree.leaves((nnx.state(model, nnx.Param), outputs))]

    expected = traced()
    with setting():
        assert traced() == expected
