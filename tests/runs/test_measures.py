"""Measures of any name, shape and dtype, from a history to files and dashboards and back."""

import json
from collections import OrderedDict

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign.runs import is_input
from jaxalign.runs._layout import layout_of
from jaxalign.runs._storage import Storage
from jaxalign.runs._writers import scalars

NAMES = ["a/b", "Ä x", "Area", "area", "..", "a%2Fb", "layers"]


def history(layers, *, steps=6, every=2, models=(), coordinates=None, totals=None, **more):
    """A made-up History: ``layers`` is {layer: {measure: shape, or an array of all rows}}."""
    rng = np.random.default_rng(0)
    rows = -(-steps // every)

    def values(shape):
        if isinstance(shape, np.ndarray):
            return shape
        return rng.standard_normal((rows, *models, *shape)).astype(np.float32)

    logged = OrderedDict(
        (layer, OrderedDict((name, values(shape)) for name, shape in measures.items()))
        for layer, measures in layers.items()
    )
    return ja.History(
        step=np.arange(steps, dtype=np.int32),
        measured=np.arange(0, steps, every, dtype=np.int32),
        loss=rng.random((steps, *models)).astype(np.float32),
        metrics={"accuracy": rng.random((steps, *models)).astype(np.float32)},
        layers=logged,
        coordinates=coordinates or {},
        totals=totals or dict.fromkeys(layers, 4.0),
    )._replace(**more)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).dtype == np.asarray(y).dtype
        # numpy takes the NaN of another bfloat16 for a number.
        wide = [np.asarray(z, np.float64) for z in (x, y)]
        np.testing.assert_array_equal(*wide)


def chunks(whole, length):
    """The history as ``fit`` delivers it, ``length`` rows at a time."""
    for start in range(0, len(whole.step), length):
        inside = (whole.measured >= start) & (whole.measured < start + length)
        yield whole._replace(
            step=whole.step[start : start + length],
            measured=whole.measured[inside],
            loss=whole.loss[start : start + length],
            metrics={k: v[start : start + length] for k, v in whole.metrics.items()},
            layers=jax.tree.map(lambda x, rows=inside: x[rows], whole.layers),
        )


def written(folder, whole, length=4):
    writer = ja.RunWriter(folder, {})
    for part in chunks(whole, length):
        writer.write(part)
    return json.loads((folder / "config.json").read_text())["measured"]


@pytest.mark.parametrize("models", [(), (3,)])
def test_every_measure_is_a_file(tmp_path, models):
    tau = {"tau": np.array([0.5, 1.0, 2.0])}
    layers = {name: {"area": (), "curve": (3,), "grid": (2, 3)} for name in ("input", "hidden")}
    axes = {layer: {"curve": tau} for layer in layers}
    whole = history(layers, models=models, coordinates=axes)
    measured = written(tmp_path, whole)
    assert_same(ja.read_history(tmp_path), whole)
    assert list(measured["arrays"]) == ["area.npy", "curve.npy", "grid.npy"]
    area, curve, grid = measured["arrays"].values()
    model_axis = ["model"] if models else []
    assert area["dimensions"] == ["step", "layer", *model_axis]
    assert area["layers"] == ["input", "hidden"]
    assert curve["dimensions"] == ["step", "layer", *model_axis, "tau"]
    assert curve["coordinates"] == {"tau": [0.5, 1.0, 2.0]}
    assert grid["dimensions"] == ["step", "layer", *model_axis, "axis_0", "axis_1"]
    assert grid["layers"] == ["input", "hidden"]
    assert np.load(tmp_path / "curve.npy").shape == (3, 2, *models, 3)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row.get("measured")] == [0, 2, 4]


def test_layers_of_different_shapes_have_a_file_each(tmp_path):
    whole = history({"a": {"sigma": (4,)}, "b/c": {"sigma": (2,)}, "d": {"other": ()}})
    measured = written(tmp_path, whole)
    assert list(measured["arrays"]) == ["sigma.a.npy", "sigma.b%2Fc.npy", "other.npy"]
    assert measured["arrays"]["sigma.a.npy"]["dimensions"] == ["step", "axis_0"]
    assert np.load(tmp_path / "sigma.a.npy").shape == (3, 4)
    assert_same(ja.read_history(tmp_path), whole)


def test_a_measure_may_be_a_number_of_one_layer_and_an_array_of_another(tmp_path):
    whole = history({"a": {"x": ()}, "b": {"x": (2,)}})
    written(tmp_path, whole)
    assert_same(ja.read_history(tmp_path), whole)


def test_other_coordinates_are_another_file(tmp_path):
    axes = {"a": {"x": {"tau": np.array([1.0, 2.0])}}, "b": {"x": {"tau": np.array([1.0, 3.0])}}}
    whole = history({"a": {"x": (2,)}, "b": {"x": (2,)}}, coordinates=axes)
    assert list(written(tmp_path, whole)["arrays"]) == ["x.a.npy", "x.b.npy"]
    assert_same(ja.read_history(tmp_path), whole)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_every_name_is_escaped_and_read_back(tmp_path, shape):
    whole = history({layer: dict.fromkeys(NAMES, shape) for layer in ("one", "tw/o")})
    measured = written(tmp_path / "run", whole)
    assert_same(ja.read_history(tmp_path / "run"), whole)
    files = list(measured["arrays"])
    assert len({file.lower() for file in files}) == len(files) == len(NAMES)
    present = {path.name for path in (tmp_path / "run").iterdir()}
    assert present == {"config.json", "history.jsonl", *files}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_names_that_would_share_a_file_are_told_apart(tmp_path):
    whole = history({"b.c": {"a": (1, 2)}, "c": {"a": (2,), "a.b": (3,)}, "d": {"a.b": (2,)}})
    files = list(layout_of(whole, Storage(None, 1)))
    assert len(set(files)) == len(files) == 4
    written(tmp_path, whole)
    assert_same(ja.read_history(tmp_path), whole)


def test_names_too_long_for_a_file_system_are_cut_and_told_apart(tmp_path):
    names = [f"{'block.' * 50}{i}" for i in range(3)] + ["é" * 100]
    shapes = {name: {"singular values": (i + 2,)} for i, name in enumerate(names)}
    given = history(shapes)
    ja.RunWriter(tmp_path, {}).write(given)
    assert_same(ja.read_history(tmp_path), given)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_nan_and_infinities_are_read_back_as_plain_json(tmp_path, dtype):
    numbers = np.array([np.nan, np.inf, -np.inf, 1 / 3, 1e-30, -0.0], np.float32).astype(dtype)
    layers = {"one": {"scalar": numbers, "array": np.stack([numbers, numbers[::-1]], axis=1)}}
    whole = history(layers, every=1, loss=numbers, metrics={"accuracy": numbers[::-1]})
    written(tmp_path, whole)
    assert_same(ja.read_history(tmp_path), whole)
    text = (tmp_path / "history.jsonl").read_text()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [row["loss"] for row in rows[:3]] == [None, "inf", "-inf"]


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8"])
def test_counts_and_flags_keep_their_kind(tmp_path, dtype):
    numbers = np.array([0, 1, 1, 0, 1, 1], dtype)
    layers = {"one": {"scalar": numbers, "array": np.stack([numbers, numbers], axis=1)}}
    whole = history(layers, every=1)
    written(tmp_path, whole)
    assert_same(ja.read_history(tmp_path), whole)


def test_names_of_layers_and_measures_that_dashboards_get():
    """A few numbers along one named axis are a scalar each; alignment is over ‖y‖², what a user
    logs is as it was returned.
    """
    axes = {
        "area": {},
        "alignment": {"tau": np.array([0.5, 2.0])},
        "of_class": {"class": np.array(["cat", "dog"])},
        "direction": {"k": np.array([1, 2])},
        "curve": {"tau": np.linspace(0, 1, 17)},
    }
    shapes = {name: tuple(map(len, axis.values())) for name, axis in axes.items()}
    shapes |= {"mine": (), "unnamed": (2,)}
    whole = history(
        {"hidden": shapes},
        every=1,
        coordinates={"hidden": {name: axis for name, axis in axes.items() if axis}},
        totals={"hidden": 40.0},
    )
    step, values = next(scalars(whole))
    assert step == 0
    assert list(values) == [
        *("loss", "accuracy", "area/hidden"),
        *("alignment_0.5/hidden", "alignment_2/hidden"),
        *("of_class_cat/hidden", "of_class_dog/hidden", "direction_1/hidden", "direction_2/hidden"),
        "mine/hidden",
    ]
    logged = whole.layers["hidden"]
    assert values["area/hidden"] == pytest.approx(logged["area"][0] / 40)
    assert values["alignment_2/hidden"] == pytest.approx(logged["alignment"][0, 1] / 40)
    assert values["of_class_dog/hidden"] == logged["of_class"][0, 1]
    assert values["mine/hidden"] == logged["mine"][0]


def test_a_run_of_an_older_layout_is_refused_by_name(tmp_path):
    measured = {"layers": ["input", "hidden"], "thresholds": [1.0], "grid": [0.0, 1.0], "total": 4}
    (tmp_path / "config.json").write_text(json.dumps({"measured": measured}))
    (tmp_path / "history.jsonl").write_text('{"step": 0, "loss": 0.5}\n')
    for name in ("curves.npy", "null.npy"):
        np.save(tmp_path / name, np.ones((1, 2, 64)))
    message = rf"{tmp_path.name} holds a run of an older layout.*train it again"
    with pytest.raises(ValueError, match=message):
        ja.read_history(tmp_path)
    with pytest.raises(ValueError, match=message):
        ja.RunWriter(tmp_path, {}, resume=True)
    with pytest.raises(FileExistsError, match=r"already holds a run .*curves.npy, null.npy"):
        ja.RunWriter(tmp_path, {})
    ja.RunWriter(tmp_path, {}, overwrite=True).write(history({"hidden": {"area": ()}}))
    present = {path.name for path in tmp_path.iterdir()}
    assert present == {"config.json", "history.jsonl", "area.npy"}


def test_a_run_with_numbers_in_its_rows_is_refused_by_name(tmp_path):
    """The layout before measures of one number had files too."""
    written(tmp_path, history({"hidden": {"curve": (3,)}}))
    content = json.loads((tmp_path / "config.json").read_text())
    content["measured"]["scalars"] = {"area": {"layers": ["hidden"], "dtype": "float32"}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"holds a run of an older layout.*train it again"):
        ja.read_history(tmp_path)


def test_a_config_that_is_no_runs_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds no run: its config.json does not say"):
        ja.read_history(tmp_path)


def test_a_run_is_resumed_with_the_measures_it_had(tmp_path):
    first, second = chunks(history({"hidden": {"area": (), "curve": (3,)}}, steps=8), 4)
    ja.RunWriter(tmp_path, {}).write(first)
    layers = {"hidden": {"area": (), "curve": (2,), "mine": ()}}
    other = list(chunks(history(layers, steps=8), 4))[1]
    with pytest.raises(ValueError, match=r"other measures or layers: mine.npy differ"):
        ja.RunWriter(tmp_path, {}, resume=True).write(other)
    ja.RunWriter(tmp_path, {}, resume=True).write(second)
    assert len(ja.read_history(tmp_path).step) == 8


@pytest.mark.parametrize(
    ("layer", "expected"),
    [("input", True), ("train/input", True), ("hidden", False), ("my_input", False)],
)
def test_the_inputs_are_known_by_name(layer, expected):
    assert is_input(layer) is expected
