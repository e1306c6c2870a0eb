"""Wrong kinds of argument: every public function names the argument that is one, before it computes
anything.
"""

import inspect
import re
from functools import partial
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import inspect as inspect_layers
from jaxalign.inspection import plan
from jaxalign.models import MLP

X = np.array([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]], np.float32)
Y = np.array([[1.0], [-1.0], [1.0], [-1.0]], np.float32)
SPECTRUM = ja.spectrum(X, Y)
MOMENTS = ja.moments(X, Y)
QUADRATURE = ja.quadrature(X, Y, order=1)
KEY = jax.random.key(0)
MODEL = MLP(2, (3,), 1, rngs=nnx.Rngs(0))
STATE = nnx.state(MODEL)
LINEN = nn.Dense(3)
TAP = ja.tap(MODEL)
BATCHES = [(X, Y)]
TOKENS = np.zeros((4, 2), np.int32)  # inputs that are not measured, so that nothing is compiled


class WithStatistics(nnx.Module):
    """A model that is more than its parameters."""

    def __init__(self):
        self.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.norm(x)


def function(x):
    return x


def linear(parameters, inputs):
    return inputs @ parameters


class OfTorch:
    """What a module of torch looks like: it can be called."""

    __module__ = "torch.nn.modules.linear"

    def __call__(self, x):
        return x


OTHERS = [None, "words", {"a": X}, function, object(), MLP]
WRONG: dict[str, list[Any]] = {
    "array": [None, "words", {"a": X}, function, object(), X.astype(complex), [[1.0], [1.0, 2.0]]],
    "count": [9.5, 9.0, np.float32(3), True, "9", None, [3], np.array([3, 4]), np.nan, -1],
    "flag": ["no", "yes", 1, 0.0, [], X],
    "function": [3, "f", X, {}],
    "number": ["half", None, [0.5], True, X],
    "text": [5, True, X[0], ["mean"], "none of these"],
    "key": [0, "key", None, X, np.random.default_rng(0), jax.random.split(KEY)],
    "mesh": [X, jax.devices(), 4, "data"],
    "path": [5, X, ["runs"], function],
    "spectrum": [*OTHERS, X, (SPECTRUM, SPECTRUM), MOMENTS, QUADRATURE, ja.spectrum],
    "quadrature": [*OTHERS, X, SPECTRUM],
    "moments": [*OTHERS, X, SPECTRUM, (X, Y), [X]],
    "tap": [None, "*", function, MODEL, LINEN, STATE, X],
    "stream": [*OTHERS, X, (X, Y), [X], [{"inputs": X}], [(X,)], iter([X]), 3],
    "nnx": [
        None,
        OfTorch(),
        "mlp",
        function,
        LINEN,
        MLP,
        STATE,
        X,
        TAP,
        [function],
        [MODEL, LINEN],
        {"a": MODEL},
    ],
    "model": [None, "mlp", MLP, STATE, X, 3, OfTorch()],
    "layers": [3, None, [], [3], X],
    "optimizer": [None, "adam", 0.1, optax.adam, X],
    "seed": [1.5, "a", None, True, -1, [0, 1], KEY],
    "monitor": ["area", function, TAP, MODEL, X, {"a": TAP}, [], {5: 3}],
    "checkpoints": ["runs", function, X, ja.Checkpoints],
    "measures": [[function], function, "area", {5: function}, {"mine": 3}, {"loss": function}],
    "state": [
        None,
        MODEL,
        X,
        "words",
        TAP,
        ja.TrainState(0, STATE, None),
        nnx.split(MODEL),
        {"a": X},
    ],
    "variables": [None, LINEN, X, STATE, SimpleNamespace(params={}), {"kernel": X}, {}],
}

FIT = {"model": MODEL, "optimizer": optax.sgd(0.1), "data": X, "labels": [0, 1, 0, 1]}
LABEL_ALIGNMENT = {"features": X, "targets": Y, "unlabelled": X, "rank": 1, "unlabelled_rank": 1}
MONITOR = {"tap": TAP, "inputs": X, "targets": Y}
STREAM = {"method": "text", "centered": "flag", "batches": "stream"}
SETTINGS = {"method": "text", "defer": "flag", "targets_as": "text", "centered": "flag"}
SETTINGS |= {"order": "count", "reduce": "text", "measures": "measures"}
SUMS = {"features": "array", "targets": "array", "weights": "weights"}
PAIR = {"features": X, "targets": Y}

# name: (arguments that are right, {argument: its kind})
CALLS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "accumulate": ({"batches": BATCHES}, {"batches": "stream", "each": "function"}),
    "aligned_rank": ({"spectrum": SPECTRUM}, {"spectrum": "spectrum", "energy": "number"}),
    "alignment_area": ({}, {"spectrum": "spectrum"}),
    "alignment_curve": (
        {"spectrum": SPECTRUM, "thresholds": [1.0]},
        {"spectrum": "spectrum", "thresholds": "array"},
    ),
    "basis": ({"moments": MOMENTS}, {"moments": "moments", "centered": "flag"}),
    "batch_monitor": (
        {"tap": TAP, "encode": function, "num_samples": 4},
        {"tap": "tap", "encode": "function", "num_samples": "count", **SETTINGS},
    ),
    "bootstrap_curves": (
        {"folds": [MOMENTS, MOMENTS], "thresholds": [1.0], "key": KEY, "draws": 3},
        {"folds": "moments", "thresholds": "array", "key": "key", "draws": "count"}
        | {"centered": "flag"},
    ),
    "encode_targets": ({"labels": [0, 1]}, {"labels": "labels"}),
    "fit": (
        {**FIT, "steps": 1, "batch_size": 2},
        {"model": "nnx", "optimizer": "optimizer", "steps": "count", "every": "count"}
        | {"batch_size": "count", "seed": "seed", "objective": "function", "chunk": "count"}
        | {"callback": "function", "keep_history": "flag", "checkpoints": "checkpoints"}
        | {"mesh": "mesh", "monitor": "monitor", "data": "array"}
        | {"hyperparameters": "hyperparameters"},
    ),
    "isotropic_null": ({}, {"spectrum": "spectrum"}),
    "label_alignment_loss": (
        {"weights": [1.0, 0.0], **LABEL_ALIGNMENT},
        {"weights": "array", "unlabelled": "array", "rank": "count", "unlabelled_rank": "count"}
        | {"strength": "number"},
    ),
    "label_alignment_weights": (
        LABEL_ALIGNMENT,
        {"features": "array", "targets": "array", "unlabelled": "array", "rank": "count"}
        | {"unlabelled_rank": "count", "strength": "number"},
    ),
    "measure": (
        {"activations": X, "labels": [0, 1, 0, 1]},
        {"activations": "array", "labels": "labels", "method": "text", "centered": "flag"}
        | {"reduce": "text"},
    ),
    "moments": (PAIR, SUMS),
    "monitor": (MONITOR, {"tap": "tap", "inputs": "array", "targets": "array", **SETTINGS}),
    "observe": ({"measure": function}, {"measure": "function", "every": "count"}),
    "permutation_curves": (
        {**PAIR, "thresholds": [1.0], "key": KEY, "draws": 3},
        {"features": "array", "targets": "array", "thresholds": "array", "key": "key"}
        | {"draws": "count"},
    ),
    "permutation_null": (
        PAIR,
        {"features": "array", "targets": "array", "method": "text", "centered": "flag"},
    ),
    "pool": ({"activations": X}, {"activations": "array", "reduce": "text"}),
    "predicted_convergence": (
        {"spectrum": SPECTRUM, "steps": [1]},
        {"spectrum": "spectrum", "steps": "array", "step_size": "size"},
    ),
    "prepare": (
        {"activations": X},
        {"activations": "array", "bias": "flag", "normalize": "flag", "reduce": "text"},
    ),
    "quadrature": (
        PAIR,
        {"features": "array", "targets": "array", "order": "count", "dtype": "text"},
    ),
    "quadrature_bounds": (
        {"quadrature": QUADRATURE, "thresholds": [1.0]},
        {"quadrature": "quadrature", "thresholds": "array"},
    ),
    "read_history": ({}, {"path": "path"}),
    "reap": ({"function": function}, {"function": "function", "names": "layers"}),
    "sharded": (
        {"mesh": jax.make_mesh((1,), ("data",)), "rows": "data"},
        {"mesh": "mesh", "method": "text", "centered": "flag"},
    ),
    "smooth_alignment": (
        {"spectrum": SPECTRUM, "threshold": 1.0},
        {"spectrum": "spectrum", "threshold": "array", "width": "array"},
    ),
    "spectra": (
        {"features": [X], "targets": Y},
        {"features": "layer arrays", "targets": "array", "method": "text", "centered": "flag"},
    ),
    "spectrum": (
        PAIR,
        {"features": "array", "targets": "array", "method": "text", "centered": "flag"},
    ),
    "stream_spectrum": ({"batches": BATCHES}, STREAM),
    "sum_over_processes": ({}, {"local": "moments"}),
    "tag": ({"x": X, "name": "x"}, {"name": "name"}),
    "tap": ({"model": MODEL}, {"model": "model", "layers": "layers", "at": "text"}),
    "triangle": (PAIR, SUMS),
    "unit_rows": ({"features": X}, {"features": "array", "bias": "flag"}),
    "Checkpoints": ({"folder": "runs"}, {"folder": "path", "every": "count"}),
    "alignment.usual_thresholds": ({}, {"num_samples": "number"}),
    "monitoring.alignment_measures": (
        {"num_samples": 4},
        {"num_samples": "count", "thresholds": "values", "grid": "values", "null": "flag"},
    ),
    "monitoring.curve": ({"thresholds": [1.0]}, {"thresholds": "values", "null": "flag"}),
    "monitoring.of_features": ({"function": function}, {"coordinates": "coordinates"}),
    "inspection.inspect": (
        {"tap": TAP, "state": STATE, "batches": BATCHES},
        {"tap": "tap", "state": "state", "memory_limit": "number", "callback": "function"} | STREAM,
    ),
    "inspection.plan": (
        {"tap": TAP, "state": STATE, "inputs": X},
        {"tap": "tap", "state": "state", "reduce": "text"},
    ),
}
TWO = {"x": "array", "y": "array"}
TWO_X = {"x": X, "y": X}
KERNELS = {"x_kernel": X @ X.T, "y_kernel": X @ X.T}
PLACED = {"features": X, "labels": [0, 1, 0, 1]}
OF_CLASSES = {"features": "array", "labels": "labels"}
SIZES = ("rankme", "effective_rank", "participation_ratio", "spectral_entropy", "stable_rank")
COMPARED = ("cca", "mean_cca", "mean_squared_cca", "mean_squared_cca_chance", "pwcca")
COMPARED += ("procrustes_distance", "angular_procrustes_distance", "bures_similarity")
CALLS |= {f"similarity.{name}": (TWO_X, TWO) for name in COMPARED}
CALLS |= {
    f"geometry.{name}": ({"features": X}, {"features": "array", "centered": "flag"})
    for name in SIZES
}
CALLS |= {
    "learning.gcv": (
        {"spectrum": SPECTRUM, "ridge": 1.0},
        {"spectrum": "spectrum", "ridge": "array"},
    ),
    "learning.learning_curve": (
        {"spectrum": SPECTRUM, "num_samples": 3, "ridge": 1.0},
        {"spectrum": "spectrum", "num_samples": "array", "ridge": "array"},
    ),
    "learning.sample_complexity": (
        {"spectrum": SPECTRUM, "error": 0.5},
        {"spectrum": "spectrum", "error": "array"},
    ),
    "learning.predicted_convergence": ({"spectrum": SPECTRUM}, {"steps": "array"}),
    "similarity.linear_cka": (TWO_X, TWO | {"estimator": "text"}),
    "similarity.linear_cka_null": ({}, {"x": "pair moments"}),
    "similarity.hsic": (KERNELS, {"x_kernel": "array", "y_kernel": "array", "estimator": "text"}),
    "similarity.cka": (KERNELS, {"x_kernel": "array", "y_kernel": "array", "estimator": "text"}),
    "similarity.rbf_cka": (
        TWO_X,
        TWO | {"bandwidth": "number", "relative": "flag", "estimator": "text"},
    ),
    "similarity.svcca": (TWO_X, TWO | {"variance": "number"}),
    "similarity.mutual_knn": ({**TWO_X, "k": 2}, TWO | {"k": "count"}),
    "similarity.mutual_knn_chance": (
        {"num_samples": 9, "k": 2},
        {"num_samples": "count", "k": "count"},
    ),
    "similarity.cknna": ({**TWO_X, "k": 2}, TWO | {"k": "count"}),
    "similarity.rsa": (TWO_X, TWO | {"metric": "text", "compare": "text", "limit": "number"}),
    "similarity.grid": (
        {"xs": [X], "ys": [X]},
        {"xs": "layer arrays", "ys": "layer arrays", "measure": "function"},
    ),
    "similarity.grid_and_null": (
        {"xs": [X], "ys": [X]},
        {"xs": "layer arrays", "ys": "layer arrays", "estimator": "text"},
    ),
    "similarity.pair_moments": (TWO_X, TWO | {"pivot": "weights"}),
    "similarity.permutation_null": (
        {**TWO_X, "measure": function, "key": KEY},
        TWO | {"measure": "function", "key": "key", "draws": "count"},
    ),
    "similarity.sampled_linear_cka": (
        {**TWO_X, "columns": 20, "key": KEY},
        TWO | {"columns": "count", "key": "key", "estimator": "text"},
    ),
    "geometry.alpha_req": (
        {"features": X},
        {"features": "array", "centered": "flag", "ranks": "ranks"},
    ),
    "geometry.lidar": (
        {"features": X, "objects": [0, 1, 0, 1]},
        {"features": "array", "objects": "labels", "ridge": "number"},
    ),
    "geometry.neural_collapse": (PLACED, OF_CLASSES | {"weights": "weights"}),
    "geometry.two_nn": ({"features": X}, {"features": "array", "discard": "number"}),
    "transferability.h_score": (PLACED, OF_CLASSES | {"shrinkage": "flag"}),
    "transferability.log_me": (PLACED, OF_CLASSES),
    "transferability.leep": (
        {"probabilities": np.full((4, 2), 0.5), "labels": [0, 1, 0, 1]},
        {"probabilities": "array", "labels": "labels"},
    ),
    "transferability.nce": (
        {"source_labels": [0, 1, 1, 0], "labels": [0, 1, 0, 1]},
        {"source_labels": "labels", "labels": "labels"},
    ),
    "transferability.permuted_scores": (
        {"score": np.mean, "labels": [0, 1]},
        {"score": "function", "draws": "count", "seed": "seed"},
    ),
}
CALLS |= {
    "alignment.bootstrap_difference": (
        {"first": [MOMENTS] * 2, "second": [MOMENTS] * 2, "measure": function, "key": KEY},
        {"first": "moments", "second": "moments", "measure": "function", "key": "key"}
        | {"draws": "count", "centered": "flag"},
    ),
    "alignment.spectrum_and_null": (
        PAIR,
        {"features": "array", "targets": "array", "method": "text", "centered": "flag"},
    ),
}
VALUES = np.array([1.0, 2.0, 4.0])
BEFORE = {"after": VALUES, "before": VALUES[::-1]}
INTERVAL = partial(ja.statistics.mean_interval, VALUES)
CALLS |= {
    f"statistics.{name}": (BEFORE, {"after": "sample", "before": "sample", "confidence": "number"})
    for name in ("mean_difference", "paired_effect")
}
CALLS |= {
    "statistics.mean_interval": (
        {"values": VALUES},
        {"values": "sample", "confidence": "number", "within": "range"},
    ),
    "statistics.median_interval": (
        {"values": VALUES},
        {"values": "sample", "confidence": "number"},
    ),
    "statistics.at_confidence": (
        {"interval": INTERVAL(), "freedom": 2, "confidence": 0.9},
        {"interval": "estimate", "freedom": "number", "confidence": "number"},
    ),
    "statistics.jackknife": (
        {"whole": 1.0, "without": VALUES},
        {"whole": "sample", "without": "sample", "confidence": "number"},
    ),
    "statistics.spearman": (
        {"x": VALUES, "y": VALUES[::-1]},
        {"x": "sample", "y": "sample", "confidence": "number", "resamples": "count"}
        | {"seed": "seed", "clusters": "clusters"},
    ),
    "statistics.page_trend": ({}, {"table": "sample"}),
    "statistics.holm": ({}, {"p": "sample"}),
    "statistics.benjamini_hochberg": ({}, {"p": "sample"}),
    "statistics.simultaneous": (
        {"intervals": [INTERVAL]},
        {"intervals": "intervals", "confidence": "number"},
    ),
    "statistics.least": (
        {"intervals": [INTERVAL], "confidence": 0.9},
        {"intervals": "intervals", "confidence": "number"},
    ),
    "statistics.margin": (
        {"interval": INTERVAL, "tolerance": 1.0, "confidence": 0.9},
        {"interval": "function", "tolerance": "number", "confidence": "number"},
    ),
}
WRONG["sample"] = [*WRONG["array"], [], [np.nan, 1.0], [None, 1.0]]
WRONG["range"] = [3, "ab", (1.0,), (2.0, 1.0), X, ("a", "b")]
WRONG["estimate"] = [None, VALUES, (1.0, 0.0, 2.0, 3), "words"]
WRONG["clusters"] = [3, function, "abc", [1, 2], [1, 1, 1]]
WRONG["intervals"] = [None, "words", 3, VALUES, [3], {"a": 1}, []]
TANGENT = {"function": linear, "parameters": np.ones(2, np.float32), "inputs": X}
HUTCH = {"function": "function", "key": "key", "directions": "count", "probes": "count"}
CALLS |= {
    "tangent.tangent_products": (TANGENT, {"function": "function"}),
    "tangent.tangent_norm": ({**TANGENT, "key": KEY}, HUTCH),
    "tangent.tangent_alignment": (
        {**TANGENT, "targets": Y, "key": KEY},
        HUTCH | {"targets": "array"},
    ),
    "tangent.tangent_spectrum": (
        {**TANGENT, "targets": Y},
        {"function": "function", "targets": "array", "order": "count"},
    ),
}
WRONG["pair moments"] = [*OTHERS, X, SPECTRUM, MOMENTS, (X, X)]
WRONG["ranks"] = [3, None, "ab", (1.5, 9), (1,), (1, 2, 3), X]
WRONG["name"] = [5, None, X]
WRONG["values"] = [*WRONG["array"][1:], [], [[1.0]], [np.nan]]
WRONG["size"] = ["half", {}, True, X]
WRONG["labels"] = [None, {"a": X}, function, object(), X.astype(complex)]
WRONG["hyperparameters"] = ["abc", 3, X, function]
WRONG["coordinates"] = ["tau", [1.0], X, {"tau": X}]
WRONG["weights"] = WRONG["array"][1:]
WRONG["layer arrays"] = [None, "words", {"a": None}, [function], function, 3, [["b"]]]
PLACES = [(name, argument) for name, (_, kinds) in CALLS.items() for argument in kinds]


def resolved(name: str) -> Any:
    value: Any = ja
    for part in name.split("."):
        value = getattr(value, part)
    return value


def refusal(call: Any) -> Exception | None:
    try:
        call()
    except (TypeError, ValueError) as error:
        return error
    return None


@pytest.mark.parametrize(("name", "argument"), PLACES)
def test_a_wrong_kind_is_refused_by_the_name_of_its_argument(name, argument):
    function = resolved(name)
    arguments, kinds = CALLS[name]
    for wrong in WRONG[kinds[argument]]:
        error = refusal(partial(function, **{**arguments, argument: wrong}))
        assert error is not None, f"{wrong!r} passed"
        # Of measures one is named, and of data inputs.
        stem = "inputs" if argument == "data" else argument.removesuffix("s")
        assert re.search(rf"\b{stem}", str(error)), f"{wrong!r}: {error!r}"


def test_every_public_function_is_in_the_table():
    names = list(ja.__all__)
    rooms = ("alignment", "learning", "similarity", "geometry", "transferability", "tangent")
    for room in (*rooms, "statistics"):
        names += [f"{room}.{name}" for name in getattr(ja, room).__all__]
    functions = {name: resolved(name) for name in names}
    functions = {name: one for name, one in functions.items() if inspect.isfunction(one)}
    assert set(functions.values()) <= {resolved(name) for name in CALLS}


def kind_of(wrong) -> str:
    return type(wrong).__name__


@pytest.mark.parametrize("call", ["tap", "monitor", "inspect", "plan"])
@pytest.mark.parametrize("wrong", WRONG["state"], ids=kind_of)
def test_what_is_no_state_of_the_model_is_refused(call, wrong):
    calls = {
        "tap": lambda: TAP(wrong, X),
        "monitor": lambda: ja.monitor(TAP, TOKENS, Y)(wrong),
        "inspect": lambda: inspect_layers(TAP, wrong, BATCHES),
        "plan": lambda: plan(TAP, wrong, X),
    }
    assert "state" in str(refusal(calls[call]))


def test_parameters_alone_are_no_state_and_no_variables():
    model = WithStatistics()
    tap = ja.tap(model)
    with pytest.raises(ValueError, match=r"missing are norm\.mean, norm\.var"):
        tap(nnx.state(model, nnx.Param), X)
    module = nn.Sequential([nn.Dense(3), nn.BatchNorm(use_running_average=True)])
    variables = module.init(KEY, X)
    for wrong in (variables["params"], {"params": variables["params"]}):
        with pytest.raises(ValueError, match=r"variables must be .*batch_stats|variables must be"):
            ja.tap(module)(wrong, X)


@pytest.mark.parametrize("wrong", WRONG["variables"], ids=str)
def test_what_is_no_variables_of_a_linen_module_is_refused(wrong):
    assert "variables" in str(refusal(lambda: ja.tap(LINEN, "*")(wrong, X)))


def test_messages_say_what_to_pass():
    for call, remedy in [
        (lambda: ja.alignment_area(QUADRATURE), "pass its spectrum attribute"),
        (lambda: ja.alignment_area(X), r"pass spectrum(features, targets)"),
        (lambda: ja.fit(**FIT, steps=9.5), "found 9.5; pass 10"),
        (lambda: ja.fit(**{**FIT, "model": MLP}, steps=9, batch_size=2), "build it"),
        (lambda: ja.monitor(MODEL, X, Y), "pass tap(model, layers)"),
        (lambda: TAP(MODEL, X), "pass nnx.state(model)"),
        (lambda: TAP(ja.TrainState(0, STATE, None), X), "state.model"),
        (lambda: ja.tap(LINEN)(LINEN, X), '{"params": parameters, ...}'),
        (lambda: ja.stream_spectrum((X, Y)), "pass [(features, targets)]"),
    ]:
        assert remedy in str(refusal(call))


def test_counts_of_any_integer_pass():
    for count in (3, np.int64(3), np.uint8(3), np.array(3), jnp.array(3)):
        assert ja.permutation_curves(X, Y, [1.0], key=KEY, draws=count).null.shape[0] == 3
