"""Measures of all rooms at every step: of a spectrum, of features with their classes, of pairs."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign import geometry, learning, similarity, transferability
from jaxalign.monitoring import of_features, of_pair, of_spectrum
from jaxalign.report.run.page import page
from jaxalign.report.run.summary import summarize


def collapse(features, targets):
    labels = (targets[:, 0] > 0).astype(int)
    return geometry.neural_collapse(features, labels, classes=(0, 1)).nc1


def h_score(features, targets):
    labels = (targets[:, 0] > 0).astype(int)
    return transferability.h_score(features, labels, classes=(0, 1)).adjusted


MEASURES = {
    "gcv": partial(learning.gcv, ridge=1.0),
    "error": of_spectrum(
        lambda s: learning.learning_curve(s, [20.0, 200.0], ridge="best").mean(axis=1),
        coordinates={"samples": [20, 200]},
    ),
    "labels": partial(learning.sample_complexity, error=0.9),
    "convergence": partial(learning.predicted_convergence, steps=[1.0, 5.0]),
    "log_me": transferability.log_me,
    "rankme": of_features(geometry.rankme),
    "participation": geometry.participation_ratio,
    "two_nn": of_features(geometry.two_nn),
    "nc1": of_features(collapse, targets=True),
    "h_score": of_features(h_score, targets=True),
    "cka_start": of_pair(similarity.linear_cka, reference="start"),
    "cka_before": of_pair(
        partial(similarity.linear_cka, estimator="debiased"), reference="previous"
    ),
}


@pytest.fixture(scope="module")
def run(task):
    monitor = task.monitor(task.model(), method="svd", measures=MEASURES)
    state, history = task.fit(task.model(), monitor=monitor, steps=6, chunk=7)
    return monitor, state, history


@pytest.mark.slow
def test_what_is_logged_is_the_measure_of_the_activations(task, run):
    monitor, state, history = run
    first, last = nnx.state(task.model()), state.model
    at_start = monitor.tap(first, monitor.inputs)[1]
    at_end = monitor.tap(last, monitor.inputs)[1]
    targets = monitor.targets
    for step, now in ((0, at_start), (6, at_end)):
        x = np.asarray(now["hidden_2"])
        before = np.asarray(now["hidden_1"])
        s = ja.spectrum(ja.prepare(x), targets)
        logged = {name: values[step] for name, values in history.layers["hidden_2"].items()}
        expected = {
            "gcv": learning.gcv(s, 1.0).mean(),
            "error": learning.learning_curve(s, [20.0, 200.0], ridge="best")[:, 0],
            "labels": learning.sample_complexity(s, 0.9)[0],
            "convergence": learning.predicted_convergence(s, [1.0, 5.0])[:, 0],
            "log_me": transferability.log_me(s),
            "rankme": geometry.rankme(x),
            "participation": geometry.participation_ratio(ja.spectrum(ja.prepare(x), targets)),
            "two_nn": geometry.two_nn(x),
            "nc1": collapse(x, targets),
            "h_score": h_score(x, targets),
            "cka_start": similarity.linear_cka(x, np.asarray(at_start["hidden_2"])),
            "cka_before": similarity.linear_cka(x, before, estimator="debiased"),
        }
        assert set(logged) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(logged[name], value, rtol=2e-3, atol=1e-3, err_msg=name)
    assert history.coordinates["hidden_2"]["error"]["samples"].tolist() == [20, 200]
    assert history.layers["hidden_2"]["cka_start"][0] == pytest.approx(1)


@pytest.mark.slow
def test_they_are_drawn_and_written(run, tmp_path):
    _, _, history = run
    writer = ja.RunWriter(tmp_path / "run", {"note": "all measures"})
    writer.write(history)
    writer.finish({"status": "finished"})
    back = ja.read_history(tmp_path / "run")
    for x, y in zip(jax.tree.leaves(back.layers), jax.tree.leaves(history.layers), strict=True):
        np.testing.assert_array_equal(x, y)
    summary = summarize(back)
    config = {
        "title": "All",
        "subtitle": "",
        "command": "",
        "steps": 6,
        "recipe": {},
        "monitor": {"size": 40, "notes": []},
        "environment": {"device": "", "versions": {}, "started": ""},
        "data": {"source": "", "sha256": ""},
    }
    text = page(summary, config, {})
    for name in MEASURES:
        assert name in text


def test_what_counts_directions_is_no_measure_of_a_quadrature(task):
    for function in (geometry.rankme, partial(learning.gcv, ridge=1.0), transferability.log_me):
        with pytest.raises(ValueError, match="method='auto'"):
            task.monitor(task.model(), method="quadrature", measures={"m": function})
