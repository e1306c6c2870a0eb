import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxalign.studies.shared.outside import FOLDER
from jaxalign.studies.transfer.claim import STUDY
from jaxalign.studies.transfer.design import Config, learned, problem_of, seeds_of
from jaxalign.studies.transfer.findings import agreement, correlation, correlation_at_targets
from jaxalign.studies.transfer.gains import gains

TINY = Config(
    seeds=2,
    widths=(6, 6),
    steps=(5, 10),
    source_samples=64,
    target_samples=30,
    test_samples=50,
    target_steps=5,
    dials=(0.0, 1.0),
    functions=("ABC", "DEF"),
)
DIALS = np.linspace(0, 1, 5)
STEPS = (100, 1000)
READINGS = [
    *(
        f"{quantity}_{whose}"
        for quantity in ("area", "loss", "accuracy")
        for whose in ("frozen", "untrained", "input")
    ),
    "accuracy_scratch",
]
REFERENCES = ("scratch", "untrained", "input")


def made_up(transfer, *, problems=("line", "box", "peaks"), source_accuracy=0.99, seeds=8):
    """Alignment gains that fall with the dial, and ``transfer(problem, reference, aligned, rng)``
    for transfer gains.
    """
    rng = np.random.default_rng(0)
    factors = [
        {"problem": problem, "source": "0", "seed": seed, "steps": steps, "dial": float(dial)}
        for problem in problems
        for seed in range(seeds)
        for steps in STEPS
        for dial in DIALS
    ]
    return pd.DataFrame(
        [
            row | {"target": f"{row['dial']:g}", "source_accuracy": source_accuracy} | values
            for row in factors
            for values in [_readings(transfer, row, rng)]
        ]
    )


def _readings(transfer, row, rng):
    aligned = 0.3 * (1 - 2 * row["dial"]) + 0.02 * rng.standard_normal()
    gain = {name: transfer(row["problem"], name, aligned, rng) for name in REFERENCES}
    return {
        "area_frozen": 0.5 + aligned,
        "area_untrained": 0.5,
        "area_input": 0.5,
        "loss_frozen": 0.5,
        "accuracy_frozen": 0.5,
        **{f"accuracy_{name}": 0.5 - gain[name] for name in REFERENCES},
        **{f"loss_{name}": 0.5 + gain[name] for name in REFERENCES[1:]},
    }


def follows(problem, reference, aligned, rng):
    return aligned + 0.02 * rng.standard_normal()


def is_noise(problem, reference, aligned, rng):
    return 0.1 * rng.standard_normal()


def always_helps_a_box_over_its_input(problem, reference, aligned, rng):
    return follows(problem, reference, aligned, rng) + 0.5 * (
        problem == "box" and reference == "input"
    )


def is_noise_on_pairs(problem, reference, aligned, rng):
    of = is_noise if problem == "CIFAR-10" else follows
    return of(problem, reference, aligned, rng)


@pytest.mark.slow
def test_a_row_for_each_network_target_and_length_of_training():
    rows = STUDY.measure(TINY, {"problem": "peaks", "source": "ABC"})
    assert len(rows) == 2 * 2 * 2
    assert len({(row["seed"], row["target"], row["steps"]) for row in rows}) == len(rows)
    for row in rows:
        assert all(np.isfinite(row[name]) for name in READINGS)
        assert all(0 <= row[name] <= 1 for name in READINGS if not name.startswith("loss"))
    # What does not depend on the source is one number for all lengths of training.
    by_network = pd.DataFrame(rows).groupby(["seed", "target"])
    distinct = by_network[READINGS].nunique()
    assert (distinct.filter(regex="_(untrained|input|scratch)$") == 1).all(axis=None)
    assert (distinct["area_frozen"] == 2).all()


def test_a_cell_is_a_source_and_targets_reach_from_similar_to_dissimilar():
    cells = STUDY.cells(TINY)
    assert [cell["problem"] for cell in cells] == ["line", "box", "peaks"]
    for cell in cells:
        problem = problem_of(TINY, cell)
        assert problem.source.name == cell["source"]
        assert [target.dial for target in problem.targets] == [0, 1]
    paper = STUDY.sizes["paper"]
    assert len(problem_of(paper, {"problem": "peaks", "source": "ABC"}).targets) == 120


def test_pairs_of_natural_images_are_cells_where_they_are_wanted_and_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    medium = STUDY.sizes["medium"]
    assert len(STUDY.cells(medium)) == 3
    (tmp_path / "cifar-10-batches-bin").mkdir()
    assert len(STUDY.cells(STUDY.sizes["small"])) == 3
    natural = STUDY.cells(medium)[3:]
    assert len({cell["source"] for cell in natural}) == 4
    # Networks are the unit, so no two may begin alike.
    seeds = [seed for cell in natural for seed in seeds_of(medium, cell)]
    assert len(set(seeds)) == len(seeds) == 4 * medium.natural_seeds


def test_gains_are_over_the_reference_and_less_loss_is_more_transfer():
    table = made_up(always_helps_a_box_over_its_input)
    over_input, over_untrained = (gains(table, "box", name) for name in ("input", "untrained"))
    assert len(over_input) == 8 * len(STEPS) * len(DIALS)
    difference = (over_input["transfer"] - over_untrained["transfer"]).mean()
    assert difference == pytest.approx(0.5, abs=0.05)
    by_loss = gains(table, "box", "input", "loss")
    np.testing.assert_allclose(over_input["transfer"], by_loss["transfer"])


def test_alignment_over_training_from_scratch_is_over_the_network_it_begins_with():
    table = made_up(follows).assign(area_untrained=0.2, area_input=0.4)
    over = {name: gains(table, "box", name)["alignment"].mean() for name in REFERENCES}
    assert over["scratch"] == over["untrained"] == pytest.approx(over["input"] + 0.2)


def of_networks(alignment, transfer):
    """Gains (networks, targets, lengths of training); of targets ever farther away."""
    networks, targets, lengths = alignment.shape
    index = pd.MultiIndex.from_product(
        [range(networks), range(targets), range(lengths)], names=["network", "target", "steps"]
    )
    columns = {"alignment": alignment.ravel(), "transfer": transfer.ravel()}
    return pd.DataFrame(columns, index).reset_index()


def test_at_one_target_nothing_is_left_of_what_the_dial_explains(rng):
    fall = -np.arange(5.0)[:, None]
    a, b = 0.1 * rng.standard_normal((2, 100, 5, 6))
    apart = of_networks(fall + a, fall + b)
    assert correlation(apart)(confidence=0.95).low > 0.9
    within = correlation_at_targets(apart)(confidence=0.99)
    assert within.low < 0 < within.high
    assert within.n == 100
    assert correlation_at_targets(of_networks(fall + a, -fall + a))(confidence=0.95).value == 1


def test_where_transfer_belongs_to_targets_at_random_there_is_no_correlation(rng):
    x = rng.standard_normal((200, 8, 1)) + 5 * rng.standard_normal((200, 1, 1))
    rho = correlation(of_networks(x, rng.permuted(x, axis=1)))(confidence=0.99)
    assert rho.low < 0 < rho.high
    assert rho.n == 200
    assert correlation(of_networks(x, x**3))(confidence=0.99).value == 1


def test_correlation_is_that_of_scipy_and_none_where_a_gain_is_constant(rng):
    a, t = np.round(rng.standard_normal((2, 3, 4, 2)), 1)
    a[2] = 1
    expected = [
        stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a[:2], t[:2], strict=True)
    ]
    found = correlation(of_networks(a, t))(confidence=0.95).value
    assert found == pytest.approx(sum(expected) / 3)


def test_signs_agree_in_half_of_a_balanced_table():
    frame = pd.DataFrame({"alignment": [1.0, 1.0, -1.0, -1.0], "transfer": [1.0, -1.0, 1.0, 0.0]})
    assert agreement(frame) == (0.5, 0.5)


def test_the_verdict_on_a_claim_that_is_true():
    table = made_up(follows)
    # It is the longest training that has to learn the source.
    table.loc[table["steps"] == STEPS[0], "source_accuracy"] = 0.6
    found = STUDY.verdict(TINY, table)
    assert (found.outcome, len(found.cells)) == ("supported", 30)
    # At one target the made-up gains differ by noise that is as large as what they share.
    across = [cell for cell in found.cells if "at one target" not in cell.name]
    assert {cell.outcome for cell in across} == {"supported"}
    assert len(across) == 27
    assert found.effect.low > 0.5
    assert (found.effect.n, found.over) == (8, "networks")


def test_the_verdict_on_a_claim_that_is_false():
    found = STUDY.verdict(TINY, made_up(is_noise))
    assert found.outcome == "undecided"
    assert found.counts() == {"supported": 0, "undecided": 30, "contradicted": 0}


def test_the_verdict_names_the_cells_where_transfer_is_never_negative():
    found = STUDY.verdict(TINY, made_up(always_helps_a_box_over_its_input))
    assert [cell.name for cell in found.named("contradicted")] == [
        "box, over the raw input: −transfer at dial 1"
    ]


def test_synthetic_problems_decide_and_natural_ones_are_cells():
    problems = ("line", "CIFAR-10")
    config = STUDY.sizes["medium"]
    table = made_up(is_noise_on_pairs, problems=problems)
    found = STUDY.verdict(config, table)
    assert (found.outcome, len(found.cells)) == ("supported", 20)
    assert not any("at hand" in note for note in found.notes)
    assert any("transfer at dial 0" in note and ": 0 " in note for note in found.notes)
    without = STUDY.verdict(config, table[table["problem"] == "line"])
    assert any("CIFAR-10 was not at hand" in note for note in without.notes)


def test_a_source_that_was_not_learned_decides_nothing():
    table = made_up(follows)
    table.loc[table["problem"] == "box", "source_accuracy"] = 0.9
    found = STUDY.verdict(TINY, table)
    assert (found.outcome, len(found.cells)) == ("supported", 20)
    assert any(
        "box: the source was not learned, a network has 90.0% of it" in note for note in found.notes
    )
    with pytest.raises(ValueError, match="no synthetic source was learned"):
        STUDY.verdict(TINY, made_up(follows, source_accuracy=0.9))
    assert learned(TINY, "CIFAR-10") < learned(TINY, "box")


def test_the_figure_draws_a_panel_a_cell():
    drawn = STUDY.figure(TINY, made_up(follows))
    panels = [axes for axes in drawn.axes if axes.collections and axes.texts]
    assert len(panels) == 9
    assert all("ρ = " in axes.texts[0].get_text() for axes in panels)
    assert all(len(axes.lines) == 2 + len(DIALS) for axes in panels)
    drawn.canvas.draw()
