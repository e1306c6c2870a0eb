import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.demo import images
from jaxalign.studies.demo.claim import STUDY, Config
from jaxalign.studies.demo.curves import mean_share, read_off
from jaxalign.studies.demo.published import FALLS, LAYERS, READ, TAU, THRESHOLDS
from jaxalign.studies.demo.starts import other_starts, starts_notes
from jaxalign.studies.demo.verdict import fall, figure_margins, new_run
from jaxalign.studies.framework.verdict import outcome_of
from jaxalign.studies.shared.outside import CIFAR10, FOLDER
from jaxalign.studies.shared.problems import Problem, squared_error

TINY = Config(seeds=2, num_samples=60, steps=10, width=8, other_scales=(0.5,))
RECIPE = {"initialization": "torch", "scale": 1.0}


def test_cifar_is_measured_where_the_environment_names_it(monkeypatch, tmp_path):
    fashion, cifar = ({"data": name, **RECIPE} for name in ("Fashion-MNIST", "CIFAR-10"))
    monkeypatch.delenv(FOLDER, raising=False)
    assert STUDY.cells(TINY)[0] == fashion
    assert {cell["data"] for cell in STUDY.cells(TINY)} == {"Fashion-MNIST"}
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert {cell["data"] for cell in STUDY.cells(TINY)} == {"Fashion-MNIST"}
    with pytest.raises(ValueError, match="put cifar-10-batches-bin there"):
        STUDY.measure(TINY, cifar)
    (tmp_path / CIFAR10.path).mkdir()
    assert STUDY.cells(TINY)[:2] == [fashion, cifar]
    with pytest.raises(FileNotFoundError, match=r"has no data_batch_1\.bin"):
        STUDY.measure(TINY, cifar)
    monkeypatch.delenv(FOLDER)
    with pytest.raises(ValueError, match="--data or JAXALIGN_DATA"):
        STUDY.measure(TINY, cifar)


@pytest.mark.parametrize("has_cifar", [False, True])
def test_initial_weights_vary_on_one_data_set(monkeypatch, tmp_path, has_cifar):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    if has_cifar:
        (tmp_path / CIFAR10.path).mkdir()
    data = ["Fashion-MNIST", "CIFAR-10"][has_cifar]
    others = [cell for cell in STUDY.cells(Config()) if cell["data"] == data]
    starts = {(cell["initialization"], cell["scale"]) for cell in others}
    assert starts == {("LeCun", 1.0), *(("torch", s) for s in (0.25, 0.5, 1.0, 2.0, 4.0))}
    assert len(STUDY.cells(Config())) == len(others) + has_cifar


# What torch.randperm gives after torch.manual_seed(0), first 6 of 5000, twice.
FIRST = [1044, 2591, 4111, 725, 1703, 1919]
SECOND = [4479, 2759, 2850, 852, 913, 2849]


def test_images_are_drawn_as_torch_draws_them(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1], images.OF_CLASS))
    rows = np.arange(2 * images.OF_CLASS)
    everything = Problem("", rows[:, None], labels, 2 * labels[:, None] - 1, squared_error)
    monkeypatch.setattr(images, "cifar_pair", lambda a, b, n, folder: everything)
    chosen = images.authors_images(1000, "nowhere")
    np.testing.assert_array_equal(chosen.labels, np.repeat([0, 1], 500))
    np.testing.assert_array_equal(chosen.targets[:, 0], 2 * chosen.labels - 1)
    of_class = [np.flatnonzero(labels == label) for label in (0, 1)]
    np.testing.assert_array_equal(chosen.inputs[:6, 0], of_class[0][FIRST])
    np.testing.assert_array_equal(chosen.inputs[500:506, 0], of_class[1][SECOND])
    assert len(set(chosen.inputs[:, 0])) == 1000


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_a_permutation_is_one(count):
    for order in images.torch_permutations(count, 3):
        np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_values_are_read_on_straight_lines():
    table = pd.DataFrame(
        [
            {"seed": seed, "tau": tau, "trained": (seed + 1) * (30 - tau) / 60}
            for seed in (0, 1)
            for tau in THRESHOLDS
        ]
    )
    expected = np.outer([1, 2], 30 - np.array(TAU)) / 60
    np.testing.assert_allclose(read_off(table, "trained"), expected)
    np.testing.assert_allclose(mean_share(table, "trained"), [0.25, 0.5])


@pytest.mark.slow
def test_measuring_is_deterministic_and_whole():
    cell = STUDY.cells(TINY)[0]
    rows = STUDY.measure(TINY, cell)
    assert rows == STUDY.measure(TINY, cell)
    assert {row["tau"] for row in rows} == set(THRESHOLDS)
    assert len(rows) == 2 * len(LAYERS) * len(THRESHOLDS)
    assert {row["layer"] for row in rows} == set(LAYERS)
    for row in rows:
        assert 0 <= row["trained"] <= 1 + 1e-5
        if row["layer"] == "input":
            assert row["trained"] == row["untrained"]


def made_up(data, trained, *, untrained=0.3, spread=0.01, seeds=5, **start):
    """A table of curves: ``trained[layer]`` at the τ read, a fall to 0 where the figure has it."""
    rng = np.random.default_rng(0)
    start = {**RECIPE, **start}
    rows = []
    for seed in range(seeds):
        for layer in LAYERS:
            at = [t for t in TAU if t < FALLS[layer]]
            for tau in (0.0, *TAU, 14.5, 17.0, 22.0):
                value = np.interp(
                    tau, [0.0, *at, FALLS[layer]], [1.0, *trained[layer][: len(at)], 0.0]
                )
                value += rng.uniform(-spread, spread) * (0 < value < 1)
                rows.append(
                    {
                        "data": data,
                        **start,
                        "seed": seed,
                        "layer": layer,
                        "tau": tau,
                        "trained": float(value),
                        "untrained": untrained,
                        "chance": 0.05,
                    }
                )
    return pd.DataFrame(rows)


def on_both(trained):
    parts = [made_up("Fashion-MNIST", trained), made_up("CIFAR-10", trained)]
    return pd.concat(parts, ignore_index=True)


def lowered(by):
    return {layer: tuple(max(x - by, 0) for x in values) for layer, values in READ.items()}


def from_many_starts(of_scale, lecun):
    """Tables of CIFAR-10: {scale: how far below the figure}, and the same for LeCun's weights."""
    parts = [
        made_up("CIFAR-10", lowered(by), spread=0.005, scale=scale)
        for scale, by in of_scale.items()
    ]
    parts.append(made_up("CIFAR-10", lowered(lecun), spread=0.005, initialization="LeCun"))
    return pd.concat(parts, ignore_index=True)


def outcomes(table, part):
    effects = other_starts("CIFAR-10", table)
    return [outcome_of(effect(confidence=0.95)) for name, effect in effects.items() if part in name]


def test_it_is_supported_where_training_aligns():
    verdict = STUDY.verdict(Config(), made_up("Fashion-MNIST", READ))
    assert verdict.outcome == "supported"
    assert verdict.counts()["supported"] == len(verdict.cells) == 14
    assert verdict.effect.value == pytest.approx(0.995 - 0.3, abs=0.02)
    assert any("CIFAR-10 was not at hand" in note for note in verdict.notes)


def test_thresholds_at_which_training_does_not_align_are_not_supported():
    late = {**READ, LAYERS[-1]: (0.995,) * 6 + (0.3,)}
    verdict = STUDY.verdict(Config(), made_up("Fashion-MNIST", late))
    (cell,) = verdict.named("undecided")
    assert cell.name == "Fashion-MNIST: hidden_3 at τ = 13, trained − untrained"


@pytest.mark.parametrize(("untrained", "outcome"), [(0.995, "undecided"), (1.0, "contradicted")])
def test_it_is_not_supported_where_the_untrained_network_is_as_aligned(untrained, outcome):
    table = made_up("Fashion-MNIST", READ, untrained=untrained, spread=0.003)
    verdict = STUDY.verdict(Config(), table)
    assert verdict.outcome == outcome
    assert verdict.counts()["supported"] == 7


def test_the_figure_is_compared_on_cifar_alone():
    verdict = STUDY.verdict(Config(), on_both(READ))
    assert verdict.outcome == "supported"
    assert len(verdict.cells) == 28 + 28
    assert not verdict.named("contradicted")
    assert "on CIFAR-10" in verdict.of
    other = {**READ, "hidden_2": tuple(x - 0.1 for x in READ["hidden_2"])}
    contradicted = STUDY.verdict(Config(), on_both(other)).named("contradicted")
    assert len(contradicted) == 7
    assert all(cell.name.startswith("CIFAR-10: hidden_2") for cell in contradicted)


@pytest.mark.parametrize(("shift", "above"), [(0.009, 28), (0.012, 1)])
def test_reading_errors_are_allowed_and_no_more(shift, above):
    margins = figure_margins(made_up("CIFAR-10", lowered(shift), spread=0)).values()
    # Hidden_1 is 0 at τ = 13 in both.
    assert sum(margin(confidence=0.95).low > 0 for margin in margins) == above


def test_the_interval_of_a_new_run_is_one_of_shares():
    estimate = new_run(pd.Series([0.0, 0.9, 0.1, 0.8]), 0.25, confidence=0.999)
    assert (estimate.low, estimate.high) == (-0.25, 0.75)
    assert estimate.value == pytest.approx(0.2)


def test_where_curves_fall():
    table = made_up("CIFAR-10", READ)
    assert [fall(table, layer) for layer in LAYERS] == [17.0, 13.0, 14.5, 22.0]
    notes = STUDY.verdict(Config(), table).notes
    assert any(
        "in the order hidden_1 (τ = 13), hidden_2 (τ = 14.5), input (τ = 17), hidden_3" in note
        for note in notes
    )
    assert any(
        "hidden_1 lies above the input at τ = 0.5, 1, 3, 5, 7, 10 alone" in note for note in notes
    )


def test_smaller_weights_align_more_where_they_do():
    falling = from_many_starts({1.0: 0.1, 0.5: 0.0, 2.0: 0.2}, lecun=0.15)
    assert outcomes(falling, "mean share") == ["supported"] * 3
    assert outcomes(falling, "hidden_3 at τ = 5 from") == ["supported"] * 3
    rising = from_many_starts({1.0: 0.1, 0.5: 0.2, 2.0: 0.0}, lecun=0.15)
    assert outcomes(rising, "mean share") == ["contradicted"] * 3
    assert "from 0.5, 1, 2 times torch's" in starts_notes("CIFAR-10", rising)[0]


def test_the_figure_has_the_weights_that_are_nearer_to_it():
    name = "distance from the figure's hidden values, LeCun − torch"
    assert outcomes(from_many_starts({1.0: 0.0}, lecun=0.1), name) == ["supported"]
    assert outcomes(from_many_starts({1.0: 0.1}, lecun=0.0), name) == ["contradicted"]
    torch, lecun, _ = starts_notes("CIFAR-10", from_many_starts({1.0: 0.0}, lecun=0.1))
    assert torch.startswith("From torch's initial weights 28 of the figure's 28 values")
    assert torch.endswith("28 within ±0.01 of their mean. The farthest outside: none.")
    # Hidden_1 is 0 at τ = 13 in both.
    assert lecun.startswith("From LeCun's initial weights 1 of the figure's 28 values")
    assert "1 within ±0.01 of their mean. The farthest outside: " in lecun
    assert lecun.count(" at τ = ") == lecun.count(" by 0.0") == 3


def test_a_verdict_counts_the_cells_of_all_starts():
    verdict = STUDY.verdict(Config(), from_many_starts({1.0: 0.0, 0.5: 0.1}, lecun=0.1))
    # The references at each τ, the figure, two other starts, three layers by scale, and LeCun's.
    assert len(verdict.cells) == 14 + 28 + 2 + 3 + 1


@pytest.mark.parametrize(
    ("table", "panels"),
    [
        (lambda: made_up("Fashion-MNIST", READ), 2),
        (lambda: on_both(READ), 2),
        (lambda: from_many_starts({1.0: 0.0, 0.5: 0.1}, lecun=0.1), 2),
    ],
)
def test_figure_draws(table, panels):
    drawn = STUDY.figure(Config(), table())
    drawn.canvas.draw()
    assert len(drawn.axes) == panels
