import numpy as np

from jaxalign.report.run.summary import ROWS, summarize


def test_what_a_monitor_takes_by_default_is_over_the_total_and_the_rest_as_it_is(own):
    run = summarize(own)
    for name, measures in own.layers.items():
        np.testing.assert_allclose(run.shares[name]["area"].value, measures["area"] / 100)
    assert set(run.others["hidden_3"]) == {"profile", "bare"}
    np.testing.assert_array_equal(
        run.others["hidden_3"]["profile"].value, own.layers["hidden_3"]["profile"]
    )
    assert list(run.others["input"]) == []


def test_an_alignment_of_each_target_is_their_mean(history):
    each = history.layers["hidden_3"].copy()
    each = {name: np.stack([values, 3 * values], axis=-1) for name, values in each.items()}
    run = summarize(history._replace(layers={**history.layers, "hidden_3": each}))
    np.testing.assert_allclose(
        run.shares["hidden_3"]["curve"].value,
        2 * summarize(history).shares["hidden_3"]["curve"].value,
        rtol=1e-6,
    )


def test_a_users_measure_by_the_name_of_an_alignment_is_no_share_without_its_axis(history):
    layers = history.layers.copy()
    layers["hidden_1"] = {"curve": np.ones(41)}
    coordinates = {**history.coordinates, "hidden_1": {}}
    run = summarize(history._replace(layers=layers, coordinates=coordinates))
    assert not run.shares["hidden_1"]
    assert run.others["hidden_1"]["curve"].value[0] == 1


def test_an_infinite_measure_is_no_divergence(seeds):
    layers = seeds.layers.copy()
    condition = np.full((41, 7), np.inf)
    condition[0] = np.arange(7)
    layers["hidden_1"] = {**layers["hidden_1"], "condition": condition}
    run = summarize(seeds._replace(layers=layers))
    assert run.diverged == []
    value, low, high, n = run.others["hidden_1"]["condition"]
    assert (value[0], low[0], high[0], n) == (3, 0, 6, 7)
    assert np.isnan(value[1:]).all()


def test_where_all_models_diverged_none_is_left_out(seeds):
    cut = seeds.map(np.array)
    cut.loss[20:] = np.nan
    run = summarize(cut)
    assert run.diverged == list(range(7))
    assert run.loss.n == 7
    assert np.isnan(run.loss.value[20:]).all()


def test_the_headline_is_the_layer_with_the_largest_area_in_the_end(
    history, best_in_the_middle, diverged, only_own, two_monitors
):
    assert summarize(history).headline == "hidden_3"
    assert summarize(best_in_the_middle).headline == "hidden_2"
    assert summarize(diverged).headline == "hidden_3"
    assert summarize(only_own).headline is None
    assert summarize(two_monitors).headline == "train/hidden_3"
    alone = history._replace(layers={"input": history.layers["input"]})
    assert summarize(alone).headline == "input"


def test_what_chance_gives_is_read_off_the_grid(history, without_null):
    run = summarize(history)
    grid = run.axis("hidden_1", "null_curve")
    null = run.shares["hidden_1"]["null_curve"].value
    below, above = np.searchsorted(grid, 3) - 1, np.searchsorted(grid, 3)
    chance = run.chance("hidden_1")
    assert np.all((null[:, above] <= chance) & (chance <= null[:, below]))
    assert summarize(without_null).chance("hidden_1") is None


def test_of_a_long_run_so_many_rows_are_shown(history):
    repeats = 200
    step = np.arange(41 * repeats)
    long = history.map(lambda x: np.repeat(x, repeats, axis=0))
    run = summarize(long._replace(step=step, measured=step, array_steps=step[::3]))
    shown = run.steps_of("hidden_1", "area")
    assert ROWS / 2 < len(shown) <= ROWS
    assert (shown[0], shown[-1]) == (0, step[-1])
    area = long.layers["hidden_1"]["area"]
    np.testing.assert_allclose(run.shares["hidden_1"]["area"].value, area[shown] / 100)
    assert len(run.loss.value) == len(step)


def test_half_precision_is_counted_with_in_float32(history):
    run = summarize(history.map(lambda x: x.astype(np.float16)))
    for name, measures in summarize(history).shares.items():
        for measure, estimate in measures.items():
            found = run.shares[name][measure].value
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, estimate.value, rtol=2e-3, atol=1e-6)
