"""Runs of many rows: arrays kept smaller and less often, mapped, and read in ranges."""

import json
import tracemalloc
from collections import OrderedDict

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxalign as ja
from jaxalign.runs._writers import scalars

LAYERS = ("input", "hidden", "logits")


def part(begin, end, *, every=1, models=None, scale=1.0, total=4.0):
    """Rows of a run whose numbers say which step, layer and place they are of."""
    step = np.arange(begin, end, dtype=np.int32)
    measured = step[step % every == 0]
    axis = () if models is None else (models,)

    def values(steps, layer, *shape):
        place = np.arange(np.prod((*axis, *shape), dtype=int)).reshape((*axis, *shape))
        return (scale * (np.add.outer(steps, place / 64) + layer / 1024)).astype(np.float32)

    layers = OrderedDict()
    for i, name in enumerate(LAYERS):
        own = (2 + i,)
        layers[name] = OrderedDict(
            area=values(measured, i), curve=values(measured, i, 3), sigma=values(measured, i, *own)
        )
    axes = {name: {"curve": {"tau": np.array([0.5, 1.0, 2.0])}} for name in LAYERS}
    totals = dict.fromkeys(LAYERS, total)
    loss = values(step, 9)
    return ja.History(step, measured, loss, {"accuracy": loss}, layers, axes, totals)


def write(folder, parts, **storage):
    writer = ja.RunWriter(folder, {}, **storage)
    for one in parts:
        writer.write(one)
    writer.finish({})
    return folder


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def chosen_of(whole, chosen, array_every):
    """The rows of a history that ``read_history(steps=chosen)`` should give."""
    step = whole.step[chosen]
    places = np.flatnonzero(np.isin(whole.measured, step))
    of_arrays = places[places % array_every == 0]

    def rows(values):
        return values[places if values.ndim == whole.loss.ndim else of_arrays]

    return whole._replace(
        step=step,
        measured=whole.measured[places],
        loss=whole.loss[chosen],
        metrics={name: values[chosen] for name, values in whole.metrics.items()},
        layers=jax.tree.map(rows, whole.layers),
        array_steps=whole.measured[of_arrays] if array_every > 1 else None,
    )


bounds = st.none() | st.integers(-40, 40)


@given(
    every=st.integers(1, 6),
    array_every=st.integers(1, 5),
    models=st.sampled_from([None, 2]),
    cuts=st.lists(st.integers(1, 29), max_size=4),
    chosen=st.builds(slice, bounds, bounds, st.none() | st.integers(1, 9)),
)
@settings(max_examples=40, deadline=None)
def test_a_range_of_steps_is_that_of_the_whole(
    tmp_path_factory, every, array_every, models, cuts, chosen
):
    """Whatever is measured, kept and asked for, and however the run was cut into parts."""
    ends = sorted({0, *cuts, 30})
    parts = [part(*ends[i : i + 2], every=every, models=models) for i in range(len(ends) - 1)]
    folder = write(tmp_path_factory.mktemp("run") / "run", parts, array_every=array_every)
    whole = part(0, 30, every=every, models=models)
    assert_same(ja.read_history(folder), chosen_of(whole, slice(None), array_every))
    found = ja.read_history(folder, steps=chosen)
    assert_same(found, chosen_of(whole, chosen, array_every))
    for layer in LAYERS:
        assert len(found.steps_of(layer, "area")) == len(found.layers[layer]["area"])
        assert len(found.steps_of(layer, "curve")) == len(found.layers[layer]["curve"])


def test_a_range_is_a_slice(tmp_path):
    folder = write(tmp_path / "run", [part(0, 12)])
    found = ja.read_history(folder, steps=range(4, 100, 3))
    assert_same(found, ja.read_history(folder, steps=slice(4, None, 3)))
    assert found.step.tolist() == [4, 7, 10]
    assert len(ja.read_history(folder, steps=range(20, 30)).step) == 0


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        (7, TypeError),
        ((0, 7), TypeError),
        ("0:7", TypeError),
        (slice(None, None, -1), ValueError),
        (slice(None, None, 0), ValueError),
        (slice(0.5, 3), ValueError),
        (range(-3, 3), ValueError),
        (range(9, -1, -1), ValueError),
    ],
)
def test_steps_that_are_no_range_are_refused(tmp_path, steps, error):
    folder = write(tmp_path / "run", [part(0, 12)])
    with pytest.raises(error, match=r"steps must .*; pass slice\(first, last \+ 1\)"):
        ja.read_history(folder, steps=steps)


@pytest.mark.parametrize("models", [None, 2])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_arrays_are_kept_in_the_dtype_that_was_asked_for(tmp_path, dtype, models):
    whole = part(0, 9, models=models)
    folder = write(tmp_path / "run", [whole], array_dtype=dtype)
    found = ja.read_history(folder)
    kept = np.load(folder / "curve.npy")
    assert kept.itemsize == np.dtype(dtype).itemsize
    for layer in LAYERS:
        for name in ("curve", "sigma"):
            values = found.layers[layer][name]
            assert values.dtype == np.dtype(dtype)
            expected = whole.layers[layer][name].astype(dtype)
            np.testing.assert_array_equal(values, expected)
        # Numbers stay as they were measured.
        np.testing.assert_array_equal(found.layers[layer]["area"], whole.layers[layer]["area"])


def test_counts_stay_counts(tmp_path):
    whole = part(0, 4)
    for logged in whole.layers.values():
        logged["rank"] = np.full((4, 2), 70_000, np.int32)
    found = ja.read_history(write(tmp_path / "run", [whole], array_dtype="float16"))
    np.testing.assert_array_equal(found.layers["hidden"]["rank"], 70_000)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (part(0, 4, scale=1e6), r"measure 'curve' of layer 'input' is .* beyond float16"),
        (part(0, 4, total=1e5), r"may grow to ‖y‖² = 100000, and float16 ends at 65504"),
    ],
    ids=["now", "later"],
)
def test_numbers_beyond_the_dtype_are_refused_before_anything_is_written(tmp_path, first, message):
    folder = write(tmp_path / "run", [part(0, 4)])
    before = {file: file.read_bytes() for file in folder.iterdir()}
    for overwrite in (False, True):
        place = folder if overwrite else tmp_path / "new"
        writer = ja.RunWriter(place, {}, array_dtype="float16", overwrite=overwrite)
        with pytest.raises(ValueError, match=f"{message}.*choose bfloat16"):
            writer.write(first)
        del writer
    assert not (tmp_path / "new").exists()
    assert before == {file: file.read_bytes() for file in folder.iterdir()}
    write(tmp_path / "new", [first], array_dtype="bfloat16")


def test_numbers_that_grow_beyond_the_dtype_keep_the_rows_before(tmp_path):
    writer = ja.RunWriter(tmp_path, {}, array_dtype=np.float16)
    writer.write(part(0, 4))
    with pytest.raises(ValueError, match="beyond float16"):
        writer.write(part(4, 8, scale=1e6))
    assert len(ja.read_history(tmp_path).step) == 4
    endless = part(4, 8, scale=np.inf)
    writer.write(endless)
    assert np.isinf(ja.read_history(tmp_path).layers["hidden"]["curve"][5:]).all()


@pytest.mark.parametrize("stop", range(2, 11, 2))
def test_a_run_in_pieces_keeps_the_same_arrays(tmp_path, stop):
    storage = {"array_every": 3, "array_dtype": "bfloat16"}
    whole = write(tmp_path / "whole", [part(0, 20, every=2)], **storage)
    parts = [part(begin, begin + 2, every=2) for begin in range(0, 20, 2)]
    pieces = ja.RunWriter(tmp_path / "pieces", {}, **storage)
    for one in parts[:7]:
        pieces.write(one)
    resumed = ja.RunWriter(tmp_path / "pieces", {}, resume=True, **storage)
    for one in parts[stop // 2 :]:
        resumed.write(one)
    for file in ("history.jsonl", "area.npy", "curve.npy", "sigma.hidden.npy"):
        assert (whole / file).read_bytes() == (tmp_path / "pieces" / file).read_bytes()


def test_a_run_is_resumed_with_the_storage_it_had(tmp_path):
    folder = write(tmp_path / "run", [part(0, 4)], array_every=2)
    for storage in ({}, {"array_every": 2, "array_dtype": "float16"}):
        with pytest.raises(ValueError, match="was begun with array_dtype=None and array_every=2"):
            ja.RunWriter(folder, {}, resume=True, **storage)


@pytest.mark.parametrize(
    ("storage", "error", "message"),
    [
        ({"array_dtype": "float64"}, ValueError, "array_dtype must be float16, bfloat16, float32"),
        ({"array_dtype": "int8"}, ValueError, "array_dtype must be .* found 'int8'"),
        ({"array_dtype": "half precision"}, ValueError, "array_dtype must be"),
        ({"array_dtype": 16}, ValueError, "array_dtype must be .* found 16"),
        ({"array_every": 0}, ValueError, "array_every must be at least 1, found 0"),
        ({"array_every": 2.0}, TypeError, "array_every must be a whole number"),
    ],
)
def test_another_storage_is_refused(tmp_path, storage, error, message):
    with pytest.raises(error, match=message):
        ja.RunWriter(tmp_path / "run", {}, **storage)


def test_a_history_with_some_arrays_is_not_written_again(tmp_path):
    folder = write(tmp_path / "run", [part(0, 6)], array_every=2)
    with pytest.raises(ValueError, match="arrays of all its measured rows"):
        ja.RunWriter(tmp_path / "copy", {}).write(ja.read_history(folder))
    assert not (tmp_path / "copy").exists()


def test_dashboards_get_arrays_at_the_steps_that_have_them(tmp_path):
    folder = write(tmp_path / "run", [part(0, 6)], array_every=2)
    shown = dict(scalars(ja.read_history(folder)))
    expected = dict(scalars(part(0, 6)))
    for step in range(6):
        arrays = {name for name in expected[step] if name.startswith("curve_")}
        kept = set(expected[step]) - (arrays if step % 2 else set())
        assert shown[step] == {name: expected[step][name] for name in kept}


def test_measures_are_mapped_and_rows_are_small(tmp_path):
    """Neither side holds what is on disk, and beside its arrays a row takes little of it."""
    count, length = 4000, 200
    made = part(0, length)

    tracemalloc.start()
    try:
        writer = ja.RunWriter(tmp_path, {})
        for begin in range(0, count, length):
            writer.write(made._replace(step=made.step + begin, measured=made.measured + begin))
        writer.finish({})
        history = ja.read_history(tmp_path)
        last = history.layers["hidden"]["curve"][-1].copy()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(last, made.layers["hidden"]["curve"][-1])
    assert peak < 1e6
    with pytest.raises(ValueError, match="read-only"):
        history.layers["hidden"]["curve"][0] = 0
    beside = sum(file.stat().st_size for file in tmp_path.iterdir() if file.suffix != ".npy")
    assert beside < 100 * count
    assert json.loads((tmp_path / "config.json").read_text())["measured"]["array_every"] == 1
