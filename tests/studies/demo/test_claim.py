import numpy as np
import pytest

from jaxalign.studies.demo.claim import FOLDER, STUDY, Config, falls, unlike_read
from jaxalign.studies.demo.read import FALLS, LAYERS, READ, TAU

TINY = Config(seeds=2, samples=60, steps=10, width=8)


def test_cifar_is_measured_where_the_environment_names_it(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER, raising=False)
    assert STUDY.cells(TINY) == [{"data": "Fashion-MNIST"}]
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert STUDY.cells(TINY) == [{"data": "Fashion-MNIST"}, {"data": "CIFAR-10"}]
    with pytest.raises(FileNotFoundError, match=r"has no data_batch_1\.bin"):
        STUDY.measure(TINY, {"data": "CIFAR-10"})
    monkeypatch.delenv(FOLDER)
    with pytest.raises(ValueError, match="set JAXALIGN_CIFAR10 to the folder"):
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
    """Rows of curves: ``trained[layer]`` at the table's τ, a fall to 0 where the figure has it."""
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
    return rows


def test_it_holds_where_training_aligns():
    told = STUDY.verdict(Config(), made_up("Fashion-MNIST", READ))
    assert told.outcome == "holds"
    assert told.cells == 14
    assert told.effect.value == pytest.approx(0.995 - 0.3, abs=0.02)
    assert any("CIFAR-10 was not at hand" in note for note in told.notes)


def test_thresholds_at_which_training_does_not_align_are_named():
    late = {**READ, LAYERS[-1]: (0.995,) * 6 + (0.3,)}
    told = STUDY.verdict(Config(), made_up("Fashion-MNIST", late))
    assert told.outcome == "holds in part"
    assert [text.split(",")[0] for text in told.failing] == ["Fashion-MNIST: hidden_3 at τ = 13"]


@pytest.mark.parametrize("untrained", [0.995, 0.999])
def test_it_does_not_hold_where_the_untrained_network_is_as_aligned(untrained):
    told = STUDY.verdict(Config(), made_up("Fashion-MNIST", READ, untrained=untrained))
    assert told.outcome == "does not hold"
    assert len(told.failing) == 7


def test_the_figure_is_compared_on_cifar_alone():
    told = STUDY.verdict(Config(), made_up("Fashion-MNIST", READ) + made_up("CIFAR-10", READ))
    assert told.outcome == "holds"
    assert told.cells == 28 + 28
    assert "on CIFAR-10" in told.of
    other = {**READ, "hidden_2": tuple(x - 0.1 for x in READ["hidden_2"])}
    told = STUDY.verdict(Config(), made_up("Fashion-MNIST", other) + made_up("CIFAR-10", other))
    assert told.outcome == "holds in part"
    assert len(told.failing) == 7
    assert all(text.startswith("CIFAR-10: hidden_2") for text in told.failing)


def test_reading_errors_are_allowed_and_no_more():
    near = {layer: tuple(max(x - 0.009, 0) for x in values) for layer, values in READ.items()}
    assert not unlike_read(made_up("CIFAR-10", near, spread=0))
    far = {layer: tuple(max(x - 0.012, 0) for x in values) for layer, values in READ.items()}
    assert len(unlike_read(made_up("CIFAR-10", far, spread=0))) == 27  # hidden_1 is 0 at 13 in both


def test_where_curves_fall():
    rows = made_up("CIFAR-10", READ)
    assert [falls(rows, layer) for layer in LAYERS] == [17.0, 13.0, 14.5, 22.0]
    notes = STUDY.verdict(Config(), rows).notes
    assert any(
        "in the order hidden_1 (τ = 13), hidden_2 (τ = 14.5), input (τ = 17), hidden_3" in note
        for note in notes
    )
    assert any(
        "hidden_1 lies above the input at τ = 0.5, 1, 3, 5, 7, 10 alone" in note for note in notes
    )


@pytest.mark.parametrize("data", [["Fashion-MNIST"], ["Fashion-MNIST", "CIFAR-10"]])
def test_figure_draws(tmp_path, data):
    drawn = STUDY.figure(Config(), [row for name in data for row in made_up(name, READ)])
    drawn.savefig(tmp_path / "figure.png")
    assert len(drawn.axes) == 2
