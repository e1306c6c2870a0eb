"""A history as an xarray Dataset and as data frames."""

import io
import sys
from collections import OrderedDict
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from rich.console import Console

import jaxalign as ja
from jaxalign.runs._columns import columns

BACKENDS = ["pandas", "polars"]


def history(rng, *, models=None, every=1, mixed=False) -> ja.History:
    """13 steps of two layers, with a number, an array with an axis, and one without a name."""
    step = np.arange(13)
    measured = step[::every]
    own = () if models is None else (models,)
    grid = np.linspace(0, 2, 5)

    def logged(*shape):
        return rng.standard_normal((len(measured), *own, *shape)).astype(np.float32)

    layers = OrderedDict(
        (name, OrderedDict(area=logged(), curve=logged(5), parts=logged(2 + mixed * i)))
        for i, name in enumerate(("a/x", "a/y"))
    )
    layers["a/y"]["rank"] = logged().astype(np.int32)
    return ja.History(
        step,
        measured,
        rng.standard_normal((13, *own)),
        {"accuracy": rng.standard_normal((13, *own))},
        layers,
        {name: {"curve": {"tau": grid}} for name in layers},
        {"a/x": 13.0, "a/y": 13.0},
    )


@pytest.fixture(params=[{}, {"models": 3}, {"every": 4}, {"models": 2, "every": 3, "mixed": True}])
def logged(request, rng) -> ja.History:
    return history(rng, **request.param)


def test_every_number_is_in_the_data_set_by_its_names(logged):
    pytest.importorskip("xarray")
    data = logged.to_xarray()
    np.testing.assert_array_equal(data["loss"], logged.loss)
    for layer, measures in logged.layers.items():
        for name, values in measures.items():
            if name in data:
                found = data[name].sel(layer=layer)
            else:
                found = data[f"{name}.{layer.replace('/', '%2F')}"]
            np.testing.assert_array_equal(found, values)
            every = len(logged.measured) != len(logged.step)
            assert found.dims[0] == ("measured" if every else "step")
            np.testing.assert_array_equal(found[found.dims[0]], logged.measured)
    np.testing.assert_array_equal(data["curve"]["tau"], np.linspace(0, 2, 5))
    assert data["total"].sel(layer="a/x") == 13


@pytest.mark.parametrize("names", [["outputs"], ["train/outputs", "held/outputs"]])
def test_layers_have_one_dimension_whatever_else_was_measured(rng, names):
    """Measures of outputs have no layer; of layers without a measure, it is missing."""
    pytest.importorskip("xarray")
    plain = history(rng)
    for name in names:
        plain.layers[name] = OrderedDict(hits=rng.standard_normal(13))
        plain.totals[name] = 13.0
    data = plain.to_xarray()
    for name, variable in data.items():
        assert not any(dim.startswith("layer_") for dim in variable.dims), name
    assert data["hits"].dims == ("step", "output")
    for name in names:
        np.testing.assert_array_equal(data["hits"].sel(output=name), plain.layers[name]["hits"])
    assert data["layer"].values.tolist() == ["a/x", "a/y"]
    assert data["rank"].sel(layer="a/x").isnull().all()
    np.testing.assert_array_equal(data["rank"].sel(layer="a/y"), plain.layers["a/y"]["rank"])


def test_a_layer_that_is_called_outputs_is_a_layer(rng):
    pytest.importorskip("xarray")
    plain = history(rng)
    plain.layers["outputs"] = plain.layers.pop("a/y")
    values = plain.to_xarray()["area"].sel(layer="outputs")
    np.testing.assert_array_equal(values, plain.layers["outputs"]["area"])


def test_of_axes_with_one_name_the_longest_keeps_it(rng):
    pytest.importorskip("xarray")
    plain = history(rng)
    for layer, measures in plain.layers.items():
        measures["alignment"] = measures["curve"][:, :2]
        plain.coordinates[layer]["alignment"] = {"tau": np.array([0.5, 1.0])}
        measures["tau"] = measures["area"]
    data = plain.to_xarray()
    assert data["curve"].dims == ("step", "layer", "tau_")
    assert data["alignment"].dims == ("step", "layer", "tau_alignment")
    assert data["tau"].dims == ("step", "layer")


@pytest.mark.parametrize("backend", BACKENDS)
def test_frames_have_a_row_per_step_layer_and_model(logged, backend):
    pytest.importorskip(backend)
    frame = logged.to_frame(backend=backend)
    models = logged.models or 1
    rest = len(logged.step) - len(logged.measured)
    assert frame.shape[0] == (2 * len(logged.measured) + rest) * models
    assert {"step", "layer", "loss", "accuracy", "area", "rank"} <= set(frame.columns)
    assert ("model" in frame.columns) == (logged.models is not None)
    assert "curve" not in frame.columns


def test_columns_hold_every_number_once(logged):
    table = columns(logged)
    np.testing.assert_array_equal(np.unique(table["step"]), logged.step)
    layers = np.array(table["layer"], dtype=object)
    for layer, measures in logged.layers.items():
        rows = layers == layer
        np.testing.assert_array_equal(table["area"][rows], measures["area"].ravel())
        measured = logged.loss[np.isin(logged.step, logged.measured)]
        np.testing.assert_array_equal(table["loss"][rows], measured.ravel())
    # A layer without a rank has none, and no number in its place.
    ranks = np.array(table["rank"], dtype=object)
    assert all(rank is None for rank in ranks[layers == "a/x"])
    np.testing.assert_array_equal(
        ranks[layers == "a/y"].astype(int), logged.layers["a/y"]["rank"].ravel()
    )


def test_a_measure_has_a_row_for_each_place_on_its_axes(logged):
    for measure, axis in (("curve", "tau"), ("parts", "axis_0"), ("area", None)):
        table = columns(logged, measure)
        layers = np.array(table["layer"])
        for layer, measures in logged.layers.items():
            rows = layers == layer
            np.testing.assert_array_equal(table[measure][rows], measures[measure].ravel())
        assert (axis in table) == (axis is not None)
    curve = columns(logged, "curve")
    np.testing.assert_array_equal(np.unique(curve["tau"]), np.linspace(0, 2, 5))


def test_names_that_are_taken_keep_their_columns(rng):
    plain = history(rng, models=2)
    for measures in plain.layers.values():
        measures["layer"], measures["model"], measures["tau"] = [measures["area"]] * 3
    table = columns(plain)
    assert {"layer", "layer_", "model", "model_"} <= set(table)
    np.testing.assert_array_equal(table["layer"], table["area"])
    assert set(columns(plain, "tau")) == {"step", "layer", "model", "tau"}


def test_half_precision_is_a_number_in_frames(rng):
    plain = history(rng)
    for measures in plain.layers.values():
        measures["curve"] = measures["curve"].astype(ml_dtypes.bfloat16)
    assert columns(plain, "curve")["curve"].dtype == np.float32


def test_nothing_measured_is_a_table_of_losses(rng):
    plain = history(rng)._replace(
        measured=np.empty(0, int), layers=OrderedDict(), coordinates={}, totals={}
    )
    assert list(columns(plain)) == ["step", "loss", "accuracy"]
    assert len(columns(plain)["step"]) == 13
    pytest.importorskip("xarray")
    assert set(plain.to_xarray()) == {"loss", "accuracy"}


def test_a_run_that_was_read_stays_on_its_files(rng, tmp_path):
    pytest.importorskip("xarray")
    writer = ja.RunWriter(tmp_path / "run", {}, array_every=3, array_dtype="bfloat16")
    writer.write(history(rng, models=2))
    read = ja.read_history(tmp_path / "run")
    data = read.to_xarray()
    for name in ("area", "curve"):
        assert data[name].dims[:3] == (data[name].dims[0], "layer", "model")
        for layer, measures in read.layers.items():
            found = data[name].sel(layer=layer).values
            np.testing.assert_array_equal(found, measures[name])
            assert np.shares_memory(found, measures[name])
    np.testing.assert_array_equal(data["array_steps"], [0, 3, 6, 9, 12])


@pytest.mark.parametrize("missing", ["xarray", "narwhals", "polars"])
def test_what_is_not_installed_is_named(rng, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    export = partial(history(rng).to_frame, backend="polars")
    if missing == "xarray":
        export = history(rng).to_xarray
    with pytest.raises(ModuleNotFoundError, match=rf"pip install .*{missing}"):
        export()


def test_an_unknown_measure_or_backend_is_refused_by_name(rng):
    plain = history(rng)
    with pytest.raises(ValueError, match=r"measure must be .* area, curve, parts, rank, found 'x'"):
        plain.to_frame("x")
    with pytest.raises(TypeError, match="measure"):
        plain.to_frame(3)
    with pytest.raises(ValueError, match=r"backend must be one of pandas, polars, found 'cudf'"):
        plain.to_frame(backend="cudf")


def test_rich_shows_every_number_first_and_last(logged):
    layers = OrderedDict((f"[red]{name}", own) for name, own in logged.layers.items())
    console = Console(file=io.StringIO(), width=200)
    console.print(logged._replace(layers=layers))
    printed = console.file.getvalue()
    assert f"13 steps, {len(logged.measured)} measured" in printed
    for layer, measures in layers.items():
        row = next(line for line in printed.splitlines() if line.startswith(layer))
        assert (
            f"{np.median(measures['area'][0]):.4g} → {np.median(measures['area'][-1]):.4g}" in row
        )
    console.print(ja.History(logged.step[:0], logged.step[:0], np.ones(0), {}, {}, {}, {}))


def test_an_empty_history_is_an_empty_table():
    nothing = np.empty(0, int)
    empty = ja.History(nothing, nothing, np.ones(0), {}, OrderedDict(a=OrderedDict()), {}, {})
    assert [len(values) for values in columns(empty).values()] == [0, 0]
    pytest.importorskip("xarray")
    assert empty.to_xarray()["loss"].size == 0
    assert empty.to_frame().shape == (0, 2)


@pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")  # treescope's own
def test_libraries_that_show_arrays_show_a_history(rng):
    treescope = pytest.importorskip("treescope")
    assert "a/x" in treescope.render_to_text(history(rng))
