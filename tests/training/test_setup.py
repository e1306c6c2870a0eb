"""Monitors that ``fit`` cannot log, refused by name before anything is trained."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja
from jaxalign.monitoring import (
    of_activations,
    of_features,
    of_null,
    of_outputs,
    of_pair,
    of_quadrature,
    of_spectrum,
)

TOP = {"direction": [1, 2, 3]}


def encode(labels):
    return ja.encode_targets(labels, classes=(0, 1))


def failing(features):
    raise RuntimeError("my own mistake")


@pytest.mark.parametrize(
    ("measures", "settings", "message"),
    [
        ({"mine": lambda s: 1 / 0}, {}, "measure 'mine' of layer .*ZeroDiv"),
        ({"mine": of_features(failing)}, {}, "measure 'mine' of layer .*my own mistake"),
        ({"mine": lambda s: None}, {}, "measure 'mine' of layer .* an array of numbers"),
        ({"mine": lambda s: "text"}, {}, "measure 'mine' of layer .* found a str"),
        ({"mine": lambda s: {"a": s.rank}}, {}, "measure 'mine' of layer .* found a dict"),
        ({"mine": lambda s: s.rank + 1j}, {}, "measure 'mine' of layer .* real numbers"),
        ({"step": lambda s: s.rank}, {}, "measure 'step' has the name of a logged column"),
        ({"loss": lambda s: s.rank}, {}, "measure 'loss' has the name of a logged column"),
        ({"accuracy": lambda s: s.rank}, {}, "measure 'accuracy' has the name of a metric"),
        ({"mine": lambda s: s.rank}, {"method": "quadrature"}, "'mine' needs a whole spectrum"),
        (
            {"mine": of_null(ja.alignment_area)},
            {"method": "quadrature"},
            "'mine' needs the permutation null.* pass method='auto'",
        ),
        ({"mine": of_quadrature(jnp.mean)}, {}, "'mine' .* pass method='quadrature'"),
        ({"mine": of_spectrum(lambda s: s.rank, coordinates=TOP)}, {}, "'mine' .*coordinates"),
        (None, {"defer": True, "method": "svd"}, "defer=True .* found method='svd'"),
        (None, {"method": "exact"}, "method must be .* found 'exact'"),
    ],
)
def test_a_measure_that_cannot_be_logged_is_an_error_at_setup(task, measures, settings, message):
    model = task.model()
    with pytest.raises(ValueError, match=message):
        task.fit(model, monitor=task.monitor(model, measures=measures, **settings))


@pytest.mark.parametrize(
    ("layer_only", "message"),
    [
        (of_outputs(lambda outputs: None), "measure 'mine' of layer 'outputs'"),
        (of_activations(lambda x: x[:, :20].reshape(40, 6)), "measure 'mine' of layer 'hidden_1'"),
        (of_pair(lambda x, y: x + y, reference="start"), None),
    ],
)
def test_what_fails_in_one_layer_names_it(task, layer_only, message):
    model = task.model()
    monitor = task.monitor(model, measures={"mine": layer_only})
    if message is None:
        assert "mine" not in task.fit(model, monitor=monitor)[1].layers["input"]
        return
    with pytest.raises(ValueError, match=message):
        task.fit(model, monitor=monitor)


def test_what_is_no_monitor_is_refused(task):
    model = task.model()
    batch = ja.batch_monitor(ja.tap(model, "hidden_*"), encode, 16)
    with pytest.raises(TypeError, match=r"must be made by monitor.* found a function"):
        task.fit(model, monitor=lambda state: state)
    with pytest.raises(TypeError, match="found a Tap"):
        task.fit(model, monitor={"train": ja.tap(model)})
    with pytest.raises(ValueError, match="one batch_monitor at most, found 2"):
        task.fit(model, monitor={"a": batch, "b": batch})
    with pytest.raises(ValueError, match="batch_size must be the monitor's 16 samples, found 20"):
        task.fit(model, monitor=batch, batch_size=20)
    with pytest.raises(TypeError, match="names of monitors must be strings, found 1"):
        task.fit(model, monitor={1: task.monitor(model)})
    for name in ("", "a/b"):
        message = re.escape(f"must not be empty or hold '/', found {name!r}")
        with pytest.raises(ValueError, match=message):
            task.fit(model, monitor={name: task.monitor(model)})


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        (np.full((4, 2), 2**40), ValueError, "reference must fit in int32, found 1099511627776"),
        (np.full((4, 2), 1e300), ValueError, "reference must .* float32"),
        ({"a": [[1.0], [np.nan]]}, ValueError, "reference of 'a' must be finite, found 1 NaN"),
        (np.ma.masked_array(np.ones((4, 2)), mask=True), ValueError, "a masked array with 8"),
        ({}, ValueError, "reference must hold a matrix of at least one layer, found none"),
        (None, TypeError, "reference must be an array of numbers, found a NoneType"),
    ],
)
def test_a_fixed_reference_is_of_numbers_that_a_program_holds(reference, error, message):
    """In silence, integers would wrap and floats be infinite."""
    with pytest.raises(error, match=message):
        of_pair(lambda x, y: y.max(), reference=reference)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        ({"day": np.array(["2020-01-01"], "datetime64[D]")}, "found 'day' of dtype datetime64"),
        ({"z": [1j]}, "must be numbers or text, found 'z' of dtype complex128"),
        ({3: [1.0]}, "names of coordinates must be non-empty strings, found 3"),
    ],
)
def test_coordinates_are_what_a_run_folder_can_hold(coordinates, message):
    """A run that cannot be written would stop after its first chunk."""
    with pytest.raises(TypeError, match=message):
        of_features(lambda x: x[:1, 0], coordinates=coordinates)
