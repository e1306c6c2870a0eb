"""The study of pretrained networks, on a network of two layers; the published ones where they are
installed.
"""

import importlib.metadata
import json
from collections import Counter
from itertools import chain, pairwise

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from matplotlib.text import Text
from PIL import Image

import jaxalign as ja
from jaxalign.models._layers import Activation
from jaxalign.models._sentences import PACKAGE
from jaxalign.models.weights._pretrained import PUBLISHED as PACKAGES
from jaxalign.similarity import linear_cka
from jaxalign.studies.pretrained import choice, design, measurement, natural, published, tasks
from jaxalign.studies.pretrained import figure as drawing
from jaxalign.studies.pretrained import verdict as judge
from jaxalign.studies.pretrained.claim import STUDY
from jaxalign.studies.pretrained.design import DECIDING, PUBLISHED, UNTRAINED, Config
from jaxalign.studies.pretrained.published import IMAGES, TEXTS
from jaxalign.studies.pretrained.tasks import FAR, NATURAL, TEXT
from jaxalign.studies.shared.outside import FOLDER, PHOTOS
from jaxalign.studies.shared.problems import photographed_animals
from jaxalign.style.layout import NARROW

TINY = Config(networks=(), pairs=((0, 8),), texts=(), far_samples=40, seeds=2)
CELL = {"network": "tiny", "task": "T-shirt or Bag"}
LAYERS = {
    net: {PUBLISHED: dict.fromkeys(DECIDING, "early"), UNTRAINED: dict.fromkeys(DECIDING, "late")}
    for net in ("x", "y")
}


class Tiny(nnx.Module):
    """Two convolutions with BatchNorm."""

    post_activations = ("relu_*",)

    def __init__(self, rngs: nnx.Rngs):
        self.conv_1, self.conv_2 = (nnx.Conv(i, 4, (3, 3), strides=4, rngs=rngs) for i in (3, 4))
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
        return (np.stack(images).astype(np.float32) / 255,)

    return published.network_of(model, Tiny, pixels)


@pytest.fixture(scope="module")
def rows(scikit, tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(FOLDER, raising=False)
        patch.setattr(measurement, "network", lambda name: tiny)
        return STUDY.measure(TINY, CELL)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A folder with a thousand tiny photos, whose brightness says their number."""
    folder = tmp_path_factory.mktemp("data")
    (folder / PHOTOS.path).mkdir()
    for number in range(1000):
        image = Image.fromarray(np.full((1, 1), number // 4, np.uint8))
        image.save(folder / PHOTOS.path / f"{number:03d}_n0_x.bmp")
    return folder


@pytest.fixture
def photos(thousand, monkeypatch):
    monkeypatch.setenv(FOLDER, str(thousand))
    return thousand / PHOTOS.path


def made_up(nets=("x", "y"), names=("s", "t", "u"), kind=NATURAL, early=0.6, late=0.4, worse=()):
    """A table in which both layers of every network are above all else, but on the tasks ``worse``.

    The best reference is at 0.2, an untrained network.
    """
    made = []
    for net in nets:
        for i, task in enumerate(names):
            drop = 0.5 if task in worse else 0.001 * i
            entries = [
                ("pixels", 0, "pixels", 0, False, 0.1),
                ("HOG", 0, "HOG", 0, False, 0.15),
                (PUBLISHED, 0, "early", 1, False, early - drop),
                (PUBLISHED, 0, "late", 2, True, late - drop),
                (UNTRAINED, 0, "early", 1, False, 0.9),
                (UNTRAINED, 0, "late", 2, True, 0.05),
                (UNTRAINED, 1, "early", 1, False, 0.05),
                (UNTRAINED, 1, "late", 2, True, 0.2),
            ]
            for name, seed, layer, depth, last, value in entries:
                of_thresholds = {f"at_{tau:g}": value for tau in Config().thresholds}
                made.append(
                    {
                        "network": net,
                        "task": task,
                        "kind": kind,
                        "representation": name,
                        "seed": seed,
                        "layer": layer,
                        "depth": depth,
                        "last": last,
                        **of_thresholds,
                        "at_by_chance": 0.02,
                        "kernel_alignment": value,
                        "area": value / 2,
                        "mean_share": 0.5,
                        "participation": 7.0,
                        "half_at": 0.1,
                    }
                )
    return pd.DataFrame(made)


@pytest.fixture
def verdict(monkeypatch):
    """The verdict on a table, with the choice of a made-up table's layers."""
    monkeypatch.setattr(judge, "chosen_layers", lambda: LAYERS)
    return lambda table: STUDY.verdict(Config(), table)


def test_each_network_sees_every_task_and_the_encoder_the_texts_where_it_is_installed(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    config = Config(networks=("a", "b"), pairs=((0, 1),), texts=(("fft", "signal"),))
    images = [
        (net, task) for net in ("a", "b") for task in ("T-shirt or Trouser", "even or odd digit")
    ]
    for installed, texts in ((True, [(TEXTS, "scipy.fft or .signal")]), (False, [])):
        monkeypatch.setattr(design, "has_texts", lambda installed=installed: installed)
        assert [tuple(cell.values()) for cell in STUDY.cells(config)] == images + texts


def test_natural_images_take_part_where_they_are_at_hand(photos):
    tasks_ = design.image_tasks(Config())
    assert [name.endswith("(ImageNet photos)") for name in tasks_] == 5 * [True] + 4 * [False]


def test_no_two_tasks_of_a_size_share_a_class_or_an_image():
    groups = list(chain(*natural.PHOTO_GROUPS.values()))
    assert max(Counter(chain(*groups)).values()) == 1
    for half, parity in natural.PARITY.items():
        of_cifar = [task.args for task in natural.cifar_tasks(half, 100).values()]
        classes = [c for _, sets, part, _ in of_cifar if part == "train" for c in chain(*sets)]
        assert len(classes) == len(set(classes)) == 4
        assert {c % 2 for _, sets, _, _ in of_cifar for c in chain(*sets)} == {parity}
        assert [part for _, _, part, _ in of_cifar] == ["train", "train", "test"]
    for config in STUDY.sizes.values():
        classes = [c for pair in config.pairs for c in pair]
        assert len(classes) == len(set(classes))
        assert config.half == "even"


def test_odd_and_even_photos_are_of_odd_and_even_classes(scikit, photos):
    groups = natural.PHOTO_GROUPS["food or device"]
    for half, parity in natural.PARITY.items():
        task = natural.photo_task("food or device", groups, half)
        assert task.targets.sum() == 0
        size = min(sum(c % 2 == parity for c in group) for group in groups)
        assert len(task.samples) == 2 * size
        shades = np.array([image[0, 0, 0] for image in task.samples])
        # Food has the higher numbers, and is the first class.
        assert shades[task.targets[:, 0] < 0].min() > shades[task.targets[:, 0] > 0].max()
        assert len(np.unique(task.targets[:20])) == 2


def test_the_first_398_photos_are_animals(photos):
    problem = photographed_animals(photos, 2)
    assert problem.inputs.shape == (1000, 2, 2, 3)
    assert problem.labels.tolist() == [0] * 398 + [1] * 602
    assert (np.diff(problem.inputs[:, 0, 0, 0]) >= 0).all()


def test_a_folder_without_a_photo_of_each_class_is_refused(tmp_path, monkeypatch):
    (tmp_path / PHOTOS.path).mkdir()
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="found 0; unpack them again"):
        natural.photo_task("food or device", natural.PHOTO_GROUPS["food or device"], "odd")


@pytest.mark.parametrize(
    "make",
    [
        lambda: tasks.fashion_task(0, 6, 47),
        lambda: tasks.digits_task(60),
        lambda: tasks.summary_task("signal", "linalg", 1000),
    ],
    ids=["fashion", "digits", "texts"],
)
def test_tasks_are_balanced(scikit, make):
    task = make()
    assert task.targets.sum() == 0
    assert len(task.samples) == len(task.targets)
    assert all(
        len(x) == len(task.targets) and np.isfinite(x).all() for x in task.references.values()
    )


def test_images_are_bytes_again_and_references_both_scalings_of_them(scikit):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(tasks.as_bytes(images / np.float32(127.5) - 1), images)
    task = tasks.of_images("any", NATURAL, images, np.array([0, 1, 0, 1]))
    flat = images.reshape(4, -1) / 255
    np.testing.assert_allclose(task.references["pixels in [0, 1]"], flat, atol=1e-6)
    np.testing.assert_allclose(task.references["pixels in [−1, 1]"], 2 * flat - 1, atol=1e-6)


def test_oriented_gradients_see_edges_and_no_brightness(scikit):
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, :, 16:] = 100
    edges = tasks.hog(image, 32)
    np.testing.assert_allclose(edges, tasks.hog(image + 50, 32), atol=1e-6)
    assert edges.shape == (1, 324)
    assert tasks.hog(image, 64).shape == (1, 1764)
    assert np.abs(edges - tasks.hog(image.transpose(0, 2, 1, 3), 32)).max() > 0.1


def test_what_is_measured_are_the_measures_of_the_package(rng):
    n = 20
    phi = np.asarray(ja.prepare(rng.standard_normal((n, 50)).astype(np.float32) + 0.5))
    y = np.repeat([1.0, -1.0], n // 2).astype(np.float32)[:, None]
    values = measurement._values(phi, y, (0.1, 0.15))
    s, null = ja.spectrum(phi, y), ja.permutation_null(phi, y)
    half = float(values["half_at"])
    # Just under and just over the τ at which the curve holds half of ‖y‖².
    thresholds = np.sqrt(n) * np.array([0.1, 0.15, half * 0.9999, half * 1.0001])
    curve, by_chance = (np.asarray(ja.alignment_curve(x, thresholds))[:, 0] / n for x in (s, null))
    expected = {
        "at_0.1": curve[0],
        "at_0.15": curve[1],
        "at_by_chance": by_chance[1],
        "kernel_alignment": float(linear_cka(phi, y)),
        "area": float(ja.alignment_area(s)[0]) / n**1.5,
        "area_by_chance": float(ja.alignment_area(null)[0]) / n**1.5,
        "participation": float(ja.geometry.participation_ratio(phi)),
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert curve[2] >= 0.5 > curve[3]


@pytest.mark.slow
def test_untrained_networks_have_the_statistics_of_the_first_batch(tiny):
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 3), dtype=np.uint8)
    inputs = tiny.inputs(images)
    state = published.untrained(tiny, 0, inputs)
    model = nnx.merge(nnx.graphdef(Tiny(nnx.Rngs(0))), state)
    normed = model.norm_1(model.conv_1(inputs[0][: published.BATCH]), use_running_average=True)
    np.testing.assert_allclose(normed.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normed.std((0, 1, 2)), 1, atol=1e-2)


def test_features_do_not_depend_on_how_rows_fall_into_batches(tiny, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (13, 28, 28, 3), dtype=np.uint8)
    inputs = tiny.inputs(images)
    whole = published.features(tiny, tiny.weights, inputs)
    monkeypatch.setattr(published, "BATCH", 5)
    for name, phi in published.features(tiny, tiny.weights, inputs).items():
        np.testing.assert_allclose(phi, whole[name], atol=1e-6)
    assert list(whole) == ["relu_1", "relu_2"]


@pytest.mark.slow
def test_rows_are_all_layers_of_all_networks_and_the_references(rows):
    kinds = [(row["representation"], row["seed"], row["layer"], row["last"]) for row in rows]
    names = ("pixels in [−1, 1]", "pixels in [0, 1]", "HOG")
    networks = ((PUBLISHED, 0), (UNTRAINED, 0), (UNTRAINED, 1))
    assert kinds == [(name, 0, name, False) for name in names] + [
        (*network, layer, layer == "relu_2")
        for network in networks
        for layer in ("relu_1", "relu_2")
    ]
    assert {row["kind"] for row in rows} == {FAR}


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


def test_the_choice_is_the_layer_of_the_highest_mean_on_each_side():
    content = choice.choice_of(made_up())
    of_x = content["layers"]["x"]
    assert of_x == {
        PUBLISHED: dict.fromkeys(DECIDING, "early"),
        UNTRAINED: dict.fromkeys(DECIDING, "early"),
    }
    assert content["means"]["x"][UNTRAINED]["late"]["kernel_alignment"] == pytest.approx(0.125)
    assert content["tasks"] == ["s", "t", "u"]


def test_the_committed_choice_follows_from_its_means_and_is_of_odd_classes():
    content = json.loads(choice.FILE.read_text(encoding="utf-8"))
    assert content["config"]["half"] == "odd"
    assert content["layers"] == choice.chosen_layers()
    for network, sides in content["layers"].items():
        assert network in IMAGES
        for side, chosen in sides.items():
            means = content["means"][network][side]
            for measure, layer in chosen.items():
                assert means[layer][measure] == max(of[measure] for of in means.values())
    assert set(STUDY.sizes["medium"].networks) <= set(content["layers"])


def test_the_choice_needs_both_sources(photos):
    with pytest.raises(ValueError, match="CIFAR-10 is not in"):
        choice.choose()


def test_the_claim_is_supported_where_last_and_best_layers_lead(verdict):
    told = verdict(made_up())
    assert (told.outcome, told.effect.n, len(told.cells)) == ("supported", 3, 2 * 2 * 2)
    assert told.counts()["supported"] == 8
    # The last layer, less the highest seed of the untrained one.
    assert told.effect.value == pytest.approx(0.4 - 0.001 - 0.2)


def test_layers_are_chosen_alike_on_both_sides(verdict):
    names = [cell.name for cell in verdict(made_up(late=0.1, nets=("x",))).named("supported")]
    assert names == [f"x, best layer, {words}" for words in DECIDING.values()]
    told = verdict(made_up(late=0.1))
    assert told.outcome == "contradicted"
    assert any(note.startswith("best layer") and "supported" in note for note in told.notes)


def test_one_task_that_is_worse_leaves_the_claim_undecided(verdict):
    assert verdict(made_up(worse=("t",))).outcome == "undecided"


def test_far_tasks_and_texts_decide_nothing_where_natural_images_are_there(verdict):
    alone = verdict(made_up())
    far = made_up(names=("f", "g"), kind=FAR, worse=("f", "g"))
    texts = made_up(nets=(TEXTS,), names=("a",), kind=TEXT)
    told = verdict(pd.concat([made_up(), far, texts], ignore_index=True))
    assert told._replace(notes=()) == alone._replace(notes=())
    assert any("far from what it was trained on" in note for note in told.notes)
    assert any(note.startswith(f"{TEXTS} on texts") for note in told.notes)
    assert any("no row for language" in note for note in alone.notes)


def test_without_natural_images_the_far_ones_are_judged_and_the_verdict_says_so(verdict):
    told = verdict(made_up(kind=FAR))
    assert "on far images" in told.of
    assert any("they do not decide the claim" in note for note in told.notes)
    assert sum("was not at hand" in note for note in told.notes) == 2
    one = verdict(made_up(names=("a (CIFAR-10)", "b (CIFAR-10)")))
    assert sum("was not at hand" in note for note in one.notes) == 1


@pytest.mark.parametrize("networks", [("x",), ("x", "y", TEXTS)])
def test_the_figure_has_three_panels_a_network(networks, monkeypatch):
    monkeypatch.setattr(drawing, "chosen_layers", lambda: LAYERS)
    figure = STUDY.figure(Config(), made_up(nets=networks))
    assert len(figure.axes) == 3 * len(networks)
    figure.canvas.draw()


@pytest.mark.slow
def test_on_a_narrow_page_networks_are_short_and_every_name_can_be_read(monkeypatch):
    monkeypatch.setattr(drawing, "chosen_layers", lambda: LAYERS)
    far = [f"Shirt or Bag {i}" for i in range(6)]
    near = [f"clothing or kitchenware {i} (ImageNet photos)" for i in range(8)]
    figure = STUDY.figure(Config(), made_up(nets=("x", "y"), names=(*near, *far)), NARROW)
    assert figure.get_size_inches()[1] <= 2 * 8
    figure.draw_without_rendering()
    for axes in figure.axes:
        names = [name for name in axes.get_yticklabels() if name.get_visible()]
        boxes = [name.get_window_extent() for name in names if name.get_text()]
        heights = sorted((box.y0, box.y1) for box in boxes)
        assert all(below <= low for (_, below), (low, _) in pairwise(heights))
        boxes += [text.get_window_extent() for text in (axes.xaxis.label, *axes.texts)]
        # Half a point is of rounding.
        assert min(box.x0 for box in boxes) >= -0.5
        assert max(box.x1 for box in boxes) <= figure.bbox.width + 0.5
    below = [axes.xaxis.label.get_window_extent() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in pairwise(below))
    # A page of 390 px shows 358 of them.
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) * 358 / 72 / NARROW.width >= 12
    assert "ImageNet photos: clothing or" in figure.get_supxlabel().replace("\n", " ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1.1", TEXTS])
def test_a_published_network_is_above_itself_untrained(scikit, name):
    package = PACKAGE if name == TEXTS else PACKAGES[name].package
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}")
    config = Config(
        networks=(), pairs=((5, 7),), texts=(("signal", "linalg"),), far_samples=40, seeds=1
    )
    task = "scipy.signal or .linalg" if name == TEXTS else "Sandal or Sneaker"
    found = STUDY.measure(config, {"network": name, "task": task})
    last = {row["representation"]: row["kernel_alignment"] for row in found if row["last"]}
    assert last[PUBLISHED] > last[UNTRAINED]
