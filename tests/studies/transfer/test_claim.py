import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from jaxalign.studies.transfer.claim import STUDY
from jaxalign.studies.transfer.design import Config, targets_of
from jaxalign.studies.transfer.findings import correlation, signs
from jaxalign.studies.transfer.gains import Gains, around_levels, gains
from jaxalign.studies.transfer.heads import HEAD_RATE, read, train_head

TINY = Config(
    seeds=2,
    widths=(6, 6),
    steps=20,
    source_samples=64,
    target_samples=30,
    test_samples=50,
    head_steps=5,
    dials=(0.0, 1.0),
    functions=("ABC", "ABD", "DEF"),
)
DIALS = np.linspace(0, 1, 5)
READINGS = [
    f"{quantity}_{whose}"
    for quantity in ("area", "loss", "accuracy")
    for whose in ("trained", "untrained", "input")
]


def made_up(transfer, *, source_accuracy=0.99, seeds=8):
    """Alignment gains that fall with the dial, and ``transfer(problem, reference, aligned, rng)``
    for transfer gains.
    """
    rng = np.random.default_rng(0)
    rows = []
    for problem in ("hyperplane", "box", "peaks"):
        for seed in range(seeds):
            for dial in DIALS:
                aligned = 0.3 * (1 - 2 * dial) + 0.02 * rng.standard_normal()
                gain = {
                    name: transfer(problem, name, aligned, rng) for name in ("untrained", "input")
                }
                references = {
                    f"{quantity}_{name}": 0.5
                    if quantity == "area"
                    else 0.5 + (gain[name] if quantity == "loss" else -gain[name])
                    for quantity in ("area", "loss", "accuracy")
                    for name in gain
                }
                trained = {
                    "area_trained": 0.5 + aligned,
                    "loss_trained": 0.5,
                    "accuracy_trained": 0.5,
                }
                factors = {
                    "problem": problem,
                    "seed": seed,
                    "target": f"{dial:g}",
                    "dial": float(dial),
                    "layer": "hidden_1",
                }
                rows.append(
                    {**factors, "source_accuracy": source_accuracy, **trained, **references}
                )
    return pd.DataFrame(rows)


def follows(problem, reference, aligned, rng):
    return aligned + 0.02 * rng.standard_normal()


def is_noise(problem, reference, aligned, rng):
    return 0.1 * rng.standard_normal()


def only_helps_a_box_over_its_input(problem, reference, aligned, rng):
    return follows(problem, reference, aligned, rng) + 0.5 * (
        problem == "box" and reference == "input"
    )


@pytest.fixture(scope="module")
def tiny_rows():
    return STUDY.measure(TINY, {"problem": "peaks"})


def test_a_cell_is_a_problem_and_the_source_comes_first():
    cells = STUDY.cells(TINY)
    assert [cell["problem"] for cell in cells] == ["hyperplane", "box", "peaks"]
    for cell in cells:
        assert targets_of(TINY, cell["problem"])[0].dial == 0
        assert targets_of(TINY, cell["problem"])[-1].dial == 1
    assert len(targets_of(STUDY.sizes["paper"], "peaks")) == 120


@pytest.mark.slow
def test_a_row_for_each_network_target_and_layer(tiny_rows):
    assert len(tiny_rows) == 2 * 3 * 2
    assert len({(row["seed"], row["target"], row["layer"]) for row in tiny_rows}) == len(tiny_rows)
    for row in tiny_rows:
        assert all(np.isfinite(row[name]) for name in READINGS)
        assert all(0 <= row[name] <= 1 for name in READINGS if not name.startswith("loss"))
    by_layer = [
        [row["area_input"] for row in tiny_rows if row["layer"] == layer]
        for layer in ("hidden_1", "hidden_2")
    ]
    assert by_layer[0] == by_layer[1]


@pytest.mark.slow
def test_measuring_is_deterministic(tiny_rows):
    assert STUDY.measure(TINY, {"problem": "peaks"}) == tiny_rows


def test_turning_a_representation_changes_nothing(rng):
    activations, test = rng.standard_normal((2, 30, 4)), rng.standard_normal((2, 20, 4))
    labels, test_labels = rng.integers(0, 2, (2, 30, 3)), rng.integers(0, 2, (20, 3))
    found = read(jnp.asarray(activations), jnp.asarray(test), labels, test_labels, 10)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    turned = read(
        jnp.asarray(activations @ turn), jnp.asarray(test @ turn), labels, test_labels, 10
    )
    for a, b in zip(found, turned, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_heads_of_several_targets_are_heads_of_each(rng):
    features = rng.standard_normal((40, 5))
    features = jnp.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, (40, 3)), jnp.float32)
    weights, loss = train_head(features, labels, 50)
    alone, alone_loss = train_head(features, labels[:, 1:2], 50)
    np.testing.assert_allclose(weights[:, 1], alone[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss[1], alone_loss[0], rtol=1e-5)


def test_a_head_descends_to_logistic_regression(rng):
    features = rng.standard_normal((200, 3))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = (features[:, 0] + 0.7 * rng.standard_normal(200) > 0).astype(float)

    def log_loss(w):
        return np.mean(np.logaddexp(0, features @ w) - labels * (features @ w))

    def head(steps):
        return train_head(
            jnp.asarray(features, jnp.float32), jnp.asarray(labels[:, None], jnp.float32), steps
        )

    weights, _ = head(2000)
    np.testing.assert_allclose(weights[:, 0], minimize(log_loss, np.zeros(3)).x, atol=2e-3)
    first, loss = head(1)
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(
        first[:, 0], HEAD_RATE * features.T @ (labels - 0.5) / 200, atol=1e-5
    )


def test_gains_are_over_the_reference_and_speed_is_less_loss():
    table = made_up(only_helps_a_box_over_its_input)
    over_input, over_untrained = (
        gains(table, "box", "hidden_1", name, "speed") for name in ("input", "untrained")
    )
    assert over_input.transfer.shape == (8, 5)
    np.testing.assert_array_equal(over_input.dials, DIALS)
    assert np.mean(over_input.transfer - over_untrained.transfer) == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(
        over_input.transfer, gains(table, "box", "hidden_1", "input", "accuracy").transfer
    )


def test_within_a_dial_nothing_is_left_of_what_the_dial_explains(rng):
    def noise():
        return 0.05 * rng.standard_normal((200, 5))

    def within(alignment, transfer):
        both = Gains(DIALS, -DIALS + alignment, -DIALS + transfer)
        return correlation(around_levels(both))(confidence=0.95)

    apart = within(noise(), noise())
    assert apart.low < 0 < apart.high
    shared = noise()
    assert within(shared, shared).value == pytest.approx(1)


def test_targets_at_one_dial_share_a_mean(rng):
    found = around_levels(Gains(np.array([0, 1 / 3, 1 - 4 / 6]), *rng.standard_normal((2, 6, 3))))
    np.testing.assert_allclose(found.alignment[:, 0].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(found.transfer[:, 1:].mean(), 0, atol=1e-12)
    assert abs(found.transfer[:, 1].mean()) > 1e-3


def test_where_transfer_belongs_to_targets_at_random_there_is_no_correlation(rng):
    x = rng.standard_normal((200, 8)) + 5 * rng.standard_normal((200, 1))
    shuffled = rng.permuted(x, axis=1)
    rho = correlation(Gains(np.linspace(0, 1, 8), x, shuffled))(confidence=0.99)
    assert rho.low < 0 < rho.high
    assert rho.n == 200
    assert correlation(Gains(np.linspace(0, 1, 8), x, x**3))(confidence=0.99).value == 1


def test_signs_fill_the_table():
    x, y = np.array([[1.0, 1.0, -1.0, -1.0]]), np.array([[1.0, -1.0, 1.0, 0.0]])
    share = signs([Gains(np.zeros(4), x, y)])
    assert share == (0.25, 0.25, 0.25, 0.25)
    assert (share.agree, share.by_chance) == (0.5, 0.5)


def test_the_verdict_on_a_claim_that_is_true():
    found = STUDY.verdict(TINY, made_up(follows))
    assert (found.outcome, found.counts()["supported"], len(found.cells)) == ("supported", 36, 36)
    assert found.effect.low > 0.5
    assert (found.effect.n, found.over) == (8, "networks")


def test_the_verdict_on_a_claim_that_is_false():
    found = STUDY.verdict(TINY, made_up(is_noise))
    assert found.outcome == "undecided"
    assert found.counts() == {"supported": 0, "undecided": 36, "contradicted": 0}


def test_the_verdict_names_the_cells_where_transfer_is_never_negative():
    found = STUDY.verdict(TINY, made_up(only_helps_a_box_over_its_input))
    assert [cell.name for cell in found.named("contradicted")] == [
        f"box, {measure} over the raw input: −transfer at dial 1"
        for measure in ("speed", "accuracy")
    ]
    assert found.counts()["supported"] == 34


def test_a_source_that_was_not_learned_decides_nothing():
    table = made_up(follows)
    table.loc[table["problem"] == "box", "source_accuracy"] = 0.9
    found = STUDY.verdict(TINY, table)
    assert (found.outcome, len(found.cells)) == ("supported", 24)
    assert any(
        "box: the source was not learned, a network has 90.0% of it" in note for note in found.notes
    )
    with pytest.raises(ValueError, match="no source was learned"):
        STUDY.verdict(TINY, made_up(follows, source_accuracy=0.9))


def test_the_figure_draws_a_panel_a_cell():
    drawn = STUDY.figure(TINY, made_up(follows))
    panels = [axes for axes in drawn.axes if axes.collections and axes.texts]
    assert len(panels) == 12
    assert all("ρ = " in axes.texts[0].get_text() for axes in panels)
    drawn.canvas.draw()
