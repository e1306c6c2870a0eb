"""The study of pretrained networks, on a network of two layers; the published ones where they are
installed.
"""

import importlib.metadata

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models._layers import Activation
from jaxalign.models._sentences import PACKAGE
from jaxalign.models.weights._pretrained import PUBLISHED as PACKAGES
from jaxalign.studies.pretrained import design, measurement, published, tasks
from jaxalign.studies.pretrained.claim import STUDY
from jaxalign.studies.pretrained.design import Config
from jaxalign.studies.pretrained.published import TEXTS

TINY = Config(networks=(), pairs=((0, 8),), texts=(), num_samples=40, seeds=2, permutations=19)
CELL = {"network": "tiny", "task": "T-shirt or Bag"}


class Tiny(nnx.Module):
    """Two convolutions with BatchNorm."""

    post_activations = ("relu_*",)

    def __init__(self, rngs: nnx.Rngs):
        self.conv_1, self.conv_2 = (nnx.Conv(i, 4, (3, 3), strides=4, rngs=rngs) for i in (1, 4))
        self.norm_1, self.norm_2 = (nnx.BatchNorm(4, rngs=rngs) for _ in range(2))
        self.relu_1, self.relu_2 = Activation(jax.nn.relu), Activation(jax.nn.relu)

    def __call__(self, x):
        return self.relu_2(self.norm_2(self.conv_2(self.relu_1(self.norm_1(self.conv_1(x))))))


@pytest.fixture(scope="module")
def scikit():
    """Skips where scikit-learn or scikit-image is missing."""
    for name in ("sklearn", "skimage"):
        pytest.importorskip(name, reason='needs pip install "jaxalign[studies]"')


@pytest.fixture(scope="module")
def tiny():
    model = Tiny(nnx.Rngs(7))
    model.eval()

    def pixels(images):
        return (images[..., None].astype(np.float32) / 255,)

    return published.network_of(model, Tiny, pixels)


@pytest.fixture(scope="module")
def rows(scikit, tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement, "network", lambda name: tiny)
        return STUDY.measure(TINY, CELL)


def made_up(best=0.3, references=(0.1, 0.15, 0.05), nets=("x", "y"), names=("s", "t"), worse=()):
    """A table in which the last layer of every network leads by far, but on the tasks ``worse``."""
    made = []
    for net in nets:
        for i, task in enumerate(names):
            lead = -0.1 if task in worse else 0.1 + 0.01 * i
            rest = {
                "network": net,
                "task": task,
                "width": 9,
                "n": 9,
                "at": 0.5,
                "kernel_alignment": 0.5,
                "null_95": 0.03,
            }
            of = zip(("pixels", "HOG", "untrained"), references, strict=True)
            entries = [
                (name, 0, name, int(name == "untrained"), True, area, lead) for name, area in of
            ]
            entries += [
                ("published", 0, "early", 1, False, best / 2, best / 2),
                ("published", 0, "late", 2, True, best, 0.0),
            ]
            entries += [
                ("untrained", 1, "untrained", 2, True, 0.05, lead),
                ("untrained, unpooled", 0, "late", 0, True, 0.1, lead),
            ]
            for name, seed, layer, depth, decides, area, ahead in entries:
                of_row = {
                    "representation": name,
                    "seed": seed,
                    "layer": layer,
                    "depth": depth,
                    "decides": decides,
                    "area": area,
                }
                ends = {
                    "low": area - 0.02,
                    "high": area + 0.02,
                    "lead": ahead,
                    "lead_low": ahead - 0.01,
                    "lead_high": ahead + 0.01,
                    "null": 0.02,
                    "p_null": 0.001,
                }
                made.append({**rest, **of_row, **ends, "p_lead": 1e-6 if ahead > 0 else 0.99})
    return pd.DataFrame(made)


def test_each_network_sees_every_task_and_the_encoder_the_texts_where_it_is_installed(monkeypatch):
    config = Config(networks=("a", "b"), pairs=((0, 1),), texts=(("fft", "signal"),))
    images = [
        (net, task) for net in ("a", "b") for task in ("T-shirt or Trouser", "even or odd digit")
    ]
    for installed, texts in ((True, [(TEXTS, "scipy.fft or .signal")]), (False, [])):
        monkeypatch.setattr(design, "has_texts", lambda installed=installed: installed)
        assert [tuple(cell.values()) for cell in STUDY.cells(config)] == images + texts


def test_no_two_pairs_of_a_size_share_a_class():
    for config in STUDY.sizes.values():
        classes = [c for pair in config.pairs for c in pair]
        assert len(classes) == len(set(classes))
        assert set(config.networks) <= set(PACKAGES) & set(published.IMAGES)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tasks.fashion_task(0, 6, 47),
        lambda: tasks.digits_task(60),
        lambda: tasks.summary_task("signal", "linalg", 1000),
    ],
    ids=["fashion", "digits", "texts"],
)
def test_tasks_are_balanced_and_can_be_cut_into_ten_groups_of_both(scikit, make):
    task = make()
    assert task.targets.sum() == 0
    assert len(task.samples) == len(task.targets)
    assert len(task.targets) % 20 == 0
    assert len(task.references) == 2
    assert all(
        len(x) == len(task.targets) and np.isfinite(x).all() for x in task.references.values()
    )


def test_images_are_bytes_again(scikit):
    task = tasks.fashion_task(2, 4, 20)
    assert task.samples.dtype == np.uint8
    np.testing.assert_allclose(
        task.references["pixels"], (task.samples / 255 - 0.5) / 0.5, atol=1e-6
    )


def test_oriented_gradients_see_edges_and_no_brightness(scikit):
    image = np.zeros((1, 32, 32), np.uint8)
    image[:, :, 16:] = 100
    np.testing.assert_allclose(tasks.hog(image), tasks.hog(image + 50), atol=1e-6)
    assert tasks.hog(image).shape == (1, 324)
    assert np.abs(tasks.hog(image) - tasks.hog(image.transpose(0, 2, 1))).max() > 0.1


def test_features_in_their_own_span_have_the_same_spectra_for_any_rows(rng):
    phi, y = (
        rng.standard_normal((20, 50)).astype(np.float32),
        np.sign(rng.standard_normal((20, 1))).astype(np.float32),
    )
    own = measurement.in_own_span(phi)
    assert own.shape == (20, 20)
    for kept in (np.arange(20), rng.permutation(20)[:13]):
        a, b = ja.spectrum(phi[kept], y[kept]), ja.spectrum(own[kept], y[kept])
        np.testing.assert_allclose(a.singular_values, b.singular_values, rtol=1e-4)
        np.testing.assert_allclose(ja.alignment_area(a), ja.alignment_area(b), rtol=1e-4)


@pytest.mark.slow
def test_untrained_networks_have_the_statistics_of_the_first_batch(tiny):
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    inputs = tiny.inputs(images)
    state = published.untrained(tiny, 0, inputs)
    model = nnx.merge(nnx.graphdef(Tiny(nnx.Rngs(0))), state)
    normed = model.norm_1(model.conv_1(inputs[0][: published.BATCH]), use_running_average=True)
    np.testing.assert_allclose(normed.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normed.std((0, 1, 2)), 1, atol=1e-2)


def test_features_do_not_depend_on_how_rows_fall_into_batches(tiny, monkeypatch):
    inputs = tiny.inputs(np.random.default_rng(0).integers(0, 256, (13, 28, 28), dtype=np.uint8))
    whole = published.features(tiny, tiny.weights, inputs)
    monkeypatch.setattr(published, "BATCH", 5)
    for name, phi in published.features(tiny, tiny.weights, inputs).items():
        np.testing.assert_allclose(phi, whole[name], atol=1e-6)
    assert list(whole) == ["relu_1", "relu_2", "unpooled"]
    assert whole["unpooled"].shape == (13, 2 * 2 * 4 + 1)


@pytest.mark.slow
def test_rows_are_all_layers_of_all_networks_and_the_references(rows):
    kinds = [(row["representation"], row["layer"], row["decides"]) for row in rows]

    def of(name, decides):
        return [
            (name, "relu_1", False),
            (name, "relu_2", True),
            (f"{name}, unpooled", "relu_2", decides),
        ]

    references = [("pixels", "pixels", True), ("HOG", "HOG", True)]
    assert kinds == references + of("published", False) + 2 * of("untrained", True)
    assert all(row["low"] <= row["area"] <= row["high"] for row in rows)
    assert all(0 < row["p_null"] <= 1 and 0 < row["null"] < 1 for row in rows)
    (best,) = (row for row in rows if row["representation"] == "published" and row["decides"])
    assert [round(row["lead"], 6) for row in rows] == [
        round(best["area"] - row["area"], 6) for row in rows
    ]


@pytest.mark.slow
def test_measuring_again_gives_the_same_rows(tiny, rows, monkeypatch):
    monkeypatch.setattr(measurement, "network", lambda name: tiny)
    assert STUDY.measure(TINY, CELL) == rows


def test_missing_weights_are_named_before_anything_is_computed(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jaxalign\[pretrained\]'"):
        STUDY.measure(Config(), {"network": "squeezenet1.1", "task": "T-shirt or Shirt"})


def test_the_claim_is_supported_where_every_last_layer_leads():
    verdict = STUDY.verdict(Config(), made_up())
    assert (verdict.outcome, verdict.counts()["supported"], len(verdict.cells)) == (
        "supported",
        2 * 2 * 5,
        2 * 2 * 5,
    )
    assert (verdict.effect.n, verdict.over) == (2, "tasks, which share no image")
    assert abs(verdict.effect.value - 0.105) < 1e-9
    assert any("above them in 4 of 4 cases" in note for note in verdict.notes)


def test_the_task_and_the_references_that_are_above_are_named():
    verdict = STUDY.verdict(Config(), made_up(worse=("t",)))
    names = [cell.name for cell in verdict.named("contradicted")]
    assert len(names) == 2 * 5
    assert "x on 't', over HOG" in names
    assert verdict.outcome == "undecided"


def test_one_untrained_seed_that_is_not_beaten_is_enough():
    table = made_up(nets=("x",))
    last = (table["representation"] == "untrained") & (table["seed"] == 1) & (table["task"] == "s")
    table.loc[last, ["lead", "lead_low"]] = [0.001, -0.01]
    undecided = [cell.name for cell in STUDY.verdict(Config(), table).named("undecided")]
    assert undecided == ["x on 's', over untrained", "x on 's', over untrained, any layer"]


def test_a_hidden_layer_of_an_untrained_network_has_to_be_beaten_too():
    table = made_up(nets=("x",))
    last = table[table["representation"] == "untrained"].head(1)
    early = last.assign(decides=False, depth=1, lead=-0.1, lead_low=-0.11, lead_high=-0.09)
    table = pd.concat([table, early], ignore_index=True)
    (cell,) = STUDY.verdict(Config(), table).named("contradicted")
    assert cell.name == "x on 's', over untrained, any layer"


def test_what_chance_gives_as_well_is_told():
    notes = STUDY.verdict(Config(), made_up().assign(p_null=0.5)).notes
    assert any("above them in 0 of 4 cases" in note for note in notes)


def test_texts_are_a_note_as_is_a_missing_encoder():
    without = STUDY.verdict(Config(), made_up(nets=("x",)))
    texts = made_up(nets=(TEXTS,), worse=("s", "t"))
    table = pd.concat([made_up(nets=("x",)), texts], ignore_index=True)
    verdict = STUDY.verdict(Config(), table)
    assert verdict._replace(notes=()) == without._replace(notes=())
    assert "no row for language" in without.notes[-1]
    assert "above in 0 of 10 comparisons" in verdict.notes[-1]


@pytest.mark.parametrize("networks", [("x",), ("x", "y", TEXTS)])
def test_the_figure_has_two_panels_a_network(networks):
    figure = STUDY.figure(Config(), made_up(nets=networks))
    assert len(figure.axes) == 2 * len(networks)
    figure.canvas.draw()


@pytest.mark.slow
def test_the_figure_takes_the_rows_that_were_measured(rows):
    STUDY.figure(TINY, pd.DataFrame(rows)).canvas.draw()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1.1", TEXTS])
def test_a_published_network_is_above_itself_untrained(scikit, name):
    package = PACKAGE if name == TEXTS else PACKAGES[name].package
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}")
    config = Config(
        networks=(),
        pairs=((5, 7),),
        texts=(("signal", "linalg"),),
        num_samples=40,
        seeds=1,
        permutations=19,
    )
    task = "scipy.signal or .linalg" if name == TEXTS else "Sandal or Sneaker"
    found = STUDY.measure(config, {"network": name, "task": task})
    untrained = [row for row in found if row["representation"] == "untrained" and row["decides"]]
    assert min(row["lead"] for row in untrained) > 0
