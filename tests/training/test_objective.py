import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxalign as ja
from jaxalign.training import classification, logistic, squared_error
from jaxalign.training._objective import checked_labels, loss_and_metrics


def test_binary_and_softmax_agree(rng, x64):
    """One logit z is the softmax of (0, z)."""
    logits = jnp.asarray(rng.standard_normal((20, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, 20))
    loss, metrics = jax.jit(classification)(logits, labels)
    other, other_metrics = classification(
        jnp.concatenate([jnp.zeros_like(logits), logits], axis=1), labels
    )
    np.testing.assert_allclose(loss, other, rtol=1e-5)
    assert metrics["accuracy"] == other_metrics["accuracy"]
    assert loss.dtype == jnp.float32


def test_known_values():
    loss, metrics = classification(jnp.array([[0.0], [0.0]]), jnp.array([0, 1]))
    assert loss == pytest.approx(np.log(2), rel=1e-6)
    assert metrics["accuracy"] == 0.5


@pytest.mark.slow
def test_logistic_is_classification_for_signs(rng):
    logits = jnp.asarray(rng.standard_normal((20, 3)), jnp.float32)
    signs = np.where(rng.random((20, 3)) < 0.5, -1, 1)
    loss, metrics = logistic(logits, signs)
    alone = [classification(logits[:, [k]], signs[:, k] > 0) for k in range(3)]
    np.testing.assert_allclose(loss, sum(one for one, _ in alone), rtol=1e-6)
    expected = np.mean([one["accuracy"] for _, one in alone])
    np.testing.assert_allclose(metrics["accuracy"], expected, rtol=1e-6)
    np.testing.assert_allclose(
        loss, np.log1p(np.exp(-signs * logits)).sum(axis=1).mean(), rtol=1e-5
    )


def test_squared_error_never_broadcasts(rng):
    outputs = jnp.asarray(rng.standard_normal((20, 1)), jnp.float32)
    labels = rng.standard_normal(20).astype(np.float32)
    expected = np.mean((np.asarray(outputs)[:, 0] - labels) ** 2)
    for given_labels in (labels, labels[:, None]):
        loss, metrics = squared_error(outputs, given_labels)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        assert metrics == {}
    with pytest.raises(ValueError, match=r"found \(20, 2\) and \(20,\)"):
        jax.eval_shape(squared_error, jnp.zeros((20, 2)), labels)


@pytest.mark.parametrize("objective", [classification, logistic, squared_error])
@pytest.mark.parametrize(
    ("outputs", "labels"), [((4,), (4,)), ((4, 2), (3,)), ((4, 2), (4, 3)), ((4, 2, 2), (4,))]
)
def test_shapes_that_do_not_fit_are_explained(objective, outputs, labels):
    given_labels = jax.ShapeDtypeStruct(labels, jnp.float32)
    with pytest.raises(ValueError, match=r"needs outputs \(n, .\) and labels \(n, ?.?\)"):
        jax.eval_shape(objective, jax.ShapeDtypeStruct(outputs, jnp.float32), given_labels)


def test_a_traced_label_that_is_none_makes_the_loss_nan():
    outputs = jnp.zeros((2, 3))
    compute = jax.jit(lambda labels: classification(outputs, labels))
    for labels in ([0, 2], [0, 3], [-1, 2], [0.0, 0.5]):
        loss, metrics = compute(jnp.array(labels))
        is_right = labels == [0, 2]
        assert bool(jnp.isfinite(loss)) == is_right
        assert bool(jnp.isfinite(metrics["accuracy"])) == is_right
    loss, metrics = jax.jit(logistic)(outputs[:, :1], jnp.array([0, 1]))
    assert bool(jnp.isnan(loss))
    assert bool(jnp.isnan(metrics["accuracy"]))


DTYPES = ["int8", "uint8", "int64", "uint64", ">i4", ">f8", "float16", "float32"]


@given(
    st.lists(st.integers(-3, 6), min_size=4, max_size=4),
    st.integers(1, 4),
    st.sampled_from(
        [list, np.array, lambda values: np.array(values)[:, None], pd.Series, jnp.array]
    ),
    st.sampled_from([None, *DTYPES]),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_class_numbers_pass_in_any_dtype_and_nothing_else_does(values, outputs, container, dtype):
    labels = container(values)
    if dtype is not None and min(values) >= 0:
        labels = np.asarray(labels).astype(dtype)
    if all(0 <= value < max(outputs, 2) for value in values):
        found = checked_labels(classification, labels, (4, outputs))
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, values)
        return
    with pytest.raises(ValueError, match=r"labels must be 0 .* found \["):
        checked_labels(classification, labels, (4, outputs))


@pytest.mark.parametrize(
    ("objective", "outputs", "labels", "message"),
    [
        (classification, 1, [-1, 1, 1, -1], r"found \[-1, 1\]; pass objective=logistic"),
        (classification, 1, [[-1.0], [1], [1], [1]], "pass objective=logistic"),
        (classification, 3, 2 * np.eye(4, 3) - 1, "objective=logistic"),
        (classification, 3, np.eye(4, 3), r"pass labels.argmax\(axis=1\)"),
        (classification, 3, np.eye(4, 3, dtype=int), r"pass labels.argmax\(axis=1\)"),
        (classification, 3, [1, 2, 3, 1], r"must be 0 \.\.\. 2 for outputs .* pass labels - 1"),
        (classification, 1, [1, 2, 2, 1], "must be 0 or 1 for outputs .* pass labels - 1"),
        (classification, 3, [0, 1, -1, 2], "drop the rows of negative labels"),
        (classification, 1, [0.5, 1.5, 0.2, 3], "objective=squared_error"),
        (classification, 2, [[0.5], [1.5], [0.2], [3]], "objective=squared_error"),
        (classification, 2, np.full((4, 2), 0.5), "objective=squared_error"),
        (classification, 1, [0, 1, 2, 3], "give the model 4 outputs"),
        (classification, 3, [0, 7, 2**40, 7], r"np.unique\(labels, return_inverse=True\)"),
        (classification, 3, ["a", "b", "a", "c"], "found 'a'; pass np.unique"),
        (classification, 3, [0, 1, None, 1], "no missing values"),
        (classification, 1, np.array([0, 1, np.nan, 1]), "must be finite"),
        (classification, 3, [0, 1, "a", 1], "of one kind"),
        (logistic, 1, [0, 1, 1, 0], "found .0, 1.; pass encode_targets"),
        (logistic, 1, ["a", "b", "a", "b"], "pass encode_targets"),
        (logistic, 1, np.ones((4, 3)), "pass encode_targets"),
        (logistic, 3, [0, 1, 2, 0], "pass encode_targets"),
        (squared_error, 1, np.ones((4, 2)), "one output for each column"),
        (squared_error, 2, np.ones(4), "one output for each column"),
        (squared_error, 1, ["a", "b", "a", "b"], "pass objective=classification"),
        (squared_error, 1, [1.0, np.inf, 1, 1], "must be finite"),
        (jax.jit(classification), 1, [-1, 1, 1, -1], "pass objective=logistic"),
        (lambda outputs, labels: 0.0, 1, ["a", "b", "a", "b"], "labels must be numbers"),
        (lambda outputs, labels: 0.0, 1, [1.0, np.inf, 1, 1], "must be finite"),
    ],
)
def test_what_was_meant_is_said(objective, outputs, labels, message):
    with pytest.raises((ValueError, TypeError), match=message):
        checked_labels(objective, labels, (4, outputs))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (jnp.int32(3), "the loss .* of floating point, found int32, which has no derivative"),
        (jnp.array(True), "the loss .* of floating point, found bool"),
        (jnp.complex64(1j), "the loss .* a real number, found complex64"),
        (None, "the loss .* a number, found None"),
        ((jnp.ones(()), {"phase": jnp.complex64(1j)}), "metric 'phase' .* found complex64"),
        ((jnp.ones(()), {"unit": "nats"}), "metric 'unit' .* a number, found 'nats'"),
    ],
)
def test_loss_and_metrics_are_real_numbers(returned, message):
    with pytest.raises(ValueError, match=message):
        loss_and_metrics(lambda outputs, labels: returned, None, None)


def test_an_objective_need_not_be_hashable():
    class Mine:
        __hash__ = None

        def __call__(self, outputs, labels):
            return jnp.mean(outputs) + jnp.mean(labels)

    assert checked_labels(Mine(), [3, 4], (2, 1)).tolist() == [3, 4]


def test_other_labels_keep_their_values():
    found = checked_labels(squared_error, [2**24 + 2, 3, 5, 7], (4, 1))
    np.testing.assert_array_equal(found[:, 0], [2**24 + 2, 3, 5, 7])
    np.testing.assert_array_equal(
        checked_labels(logistic, [True, 1, -1.0, 1][1:], (3, 1)).T, [[1, -1, 1]]
    )
    shaped = np.ones((4, 3, 2), np.float16)
    assert checked_labels(lambda outputs, labels: 0.0, shaped, (4, 1)).dtype == np.float16


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda labels: 2 * labels - 1, "objective=logistic"),
        (lambda labels: labels + 1, "pass labels - 1"),
        (lambda labels: labels + 0.5, "objective=squared_error"),
        (lambda labels: np.array(["no", "yes"])[labels], "labels must be numbers"),
        (lambda labels: labels[:-1], r"as many rows, found shapes \(90, 6\) and \(89,\)"),
        (lambda labels: 1, "found 1"),
    ],
)
def test_fit_refuses_labels_at_setup(task, labels, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ja.fit(task.model(), optax.sgd(0.1), task.inputs, labels(task.labels), steps=1)


def test_integers_that_jax_would_wrap_are_refused(task):
    def mine(outputs, labels):
        return jnp.mean((outputs[:, 0] - labels) ** 2)

    large = task.labels.astype(np.int64) + 2**40
    with pytest.raises(ValueError, match="labels must fit in int32, found 1099511627777"):
        ja.fit(task.model(), optax.sgd(0.1), task.inputs, large, steps=1, objective=mine)
    inputs = np.full((90, 6), 2**40)
    with pytest.raises(ValueError, match="inputs must fit in int32, found 1099511627776"):
        ja.fit(task.model(), optax.sgd(0.1), inputs, task.labels, steps=1)


def test_a_batch_monitor_has_to_encode_all_labels(task):
    model = task.model(outputs=3)

    def encode(labels):
        return ja.encode_targets(labels, classes=(0, 1))

    monitor = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, 16)
    labels = task.labels.copy()
    labels[70] = 2
    with pytest.raises(ValueError, match=r"among classes=\[0, 1\], found \[2\]"):
        ja.fit(model, optax.sgd(0.1), task.inputs, labels, steps=1, batch_size=16, monitor=monitor)


@pytest.mark.slow
def test_every_form_of_the_same_labels_is_the_same_run(task):
    settings_of_fit = {"steps": 5, "batch_size": 16}
    _, expected = ja.fit(task.model(), optax.sgd(0.1), task.inputs, task.labels, **settings_of_fit)
    column = task.labels.astype(np.uint8)[:, None]
    for labels in (column, task.labels.astype(">f8"), pd.Series(task.labels), task.labels > 0):
        _, found = ja.fit(task.model(), optax.sgd(0.1), task.inputs, labels, **settings_of_fit)
        np.testing.assert_array_equal(found.loss, expected.loss)
    _, found = ja.fit(
        task.model(),
        optax.sgd(0.1),
        task.inputs,
        ja.encode_targets(task.labels),
        objective=logistic,
        **settings_of_fit,
    )
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    np.testing.assert_allclose(found.metrics["accuracy"], expected.metrics["accuracy"])
