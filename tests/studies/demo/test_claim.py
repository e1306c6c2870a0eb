import numpy as np
import pandas as pd
import pytest

from jaxalign.studies.demo.claim import STUDY, Config
from jaxalign.studies.demo.published import FALLS, LAYERS, READ, TAU
from jaxalign.studies.demo.verdict import fall, figure_margins
from jaxalign.studies.shared.outside import CIFAR10, FOLDER

TINY = Config(seeds=2, num_samples=60, steps=10, width=8)


def test_cifar_is_measured_where_the_environment_names_it(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER, raising=False)
    assert STUDY.cells(TINY) == [{"data": "Fashion-MNIST"}]
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert STUDY.cells(TINY) == [{"data": "Fashion-MNIST"}]
    with pytest.raises(ValueError, match="put cifar-10-batches-bin there"):
        STUDY.measure(TINY, {"data": "CIFAR-10"})
    (tmp_path / CIFAR10.path).mkdir()
    assert STUDY.cells(TINY) == [{"data": "Fashion-MNIST"}, {"data": "CIFAR-10"}]
    with pytest.raises(FileNotFoundError, match=r"has no data_batch_1\.bin"):
        STUDY.measure(TINY, {"data": "CIFAR-10"})
    monkeypatch.delenv(FOLDER)
    with pytest.raises(ValueError, match="--data or JAXALIGN_DATA"):
        STUDY.measure(TINY, {"data": "CIFAR-10"})


@pytest.mark.slow
def test_measuring_is_deterministic_and_whole():
    cell = {"data": "Fashion-MNIST"}
    rows = STUDY.measure(TINY, cell)
    assert rows == STUDY.measure(TINY, cell)
    tau = {row["tau"] for row in rows}
    assert set(TAU) <= tau
    assert len(tau) == len(np.union1d(np.linspace(0, 30, 62), TAU))
    assert len(rows) == 2 * len(LAYERS) * len(tau)
    assert {row["layer"] for row in rows} == set(LAYERS)
    for row in rows:
        assert 0 <= row["trained"] <= 1 + 1e-5
        if row["layer"] == "input":
            assert row["trained"] == row["untrained"]


def made_up(data, trained, *, untrained=0.3, spread=0.01, seeds=5):
    """A table of curves: ``trained[layer]`` at the τ read, a fall to 0 where the figure has it."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for layer in LAYERS:
            at = [t for t in TAU if t < FALLS[layer]]
            for tau in (0.0, *TAU, 14.5, 17.0, 22.0):
                value = np.interp(
                    tau, [0.0, *at, FALLS[layer]], [1.0, *trained[layer][: len(at)], 0.0]
                )
                value += rng.uniform(-spread, spread) * (0 < value < 1)
                low = {"untrained": untrained, "chance_trained": 0.05, "chance_untrained": 0.05}
                rows.append(
                    {
                        "data": data,
                        "seed": seed,
                        "layer": layer,
                        "tau": tau,
                        "trained": float(value),
                        **low,
                    }
                )
    return pd.DataFrame(rows)


def on_both(trained):
    parts = [made_up("Fashion-MNIST", trained), made_up("CIFAR-10", trained)]
    return pd.concat(parts, ignore_index=True)


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
    shifted = {layer: tuple(max(x - shift, 0) for x in values) for layer, values in READ.items()}
    margins = figure_margins(made_up("CIFAR-10", shifted, spread=0)).values()
    # Hidden_1 is 0 at τ = 13 in both.
    assert sum(margin(confidence=0.95).low > 0 for margin in margins) == above


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


@pytest.mark.parametrize("data", [["Fashion-MNIST"], ["Fashion-MNIST", "CIFAR-10"]])
def test_figure_draws(data):
    drawn = STUDY.figure(Config(), pd.concat([made_up(name, READ) for name in data]))
    drawn.canvas.draw()
    assert len(drawn.axes) == 2
