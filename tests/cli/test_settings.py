"""What goes with every command, and options from a file."""

import json
from pathlib import Path

import pytest

from jaxalign.cli.call import parsed
from jaxalign.cli.compare.options import First
from jaxalign.cli.inspect.options import Inspect, Layers
from jaxalign.cli.main import WITH_FILE, main
from jaxalign.cli.settings import options_from
from jaxalign.cli.train.options import Train, as_settings

EVERY_KIND = Train(
    model="mine.py:Net",
    data="-data.csv",
    classes=("-2", "4"),
    num_samples=100,
    learning_rate=(0.1, 1e-5),
    optimizer=("adam", "sgd"),
    defer=True,
    thresholds=(1.0, 2.5),
    method="svd",
    checkpoint=Path("weights.npz"),
)


@pytest.fixture
def read(tmp_path):
    """``read(text, *arguments)``: the options of a command line with a file of that text."""

    def options(text: str, *arguments: str, name: str = "run.toml"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return options_from(file, WITH_FILE, arguments)

    return options


@pytest.mark.parametrize("arguments", [["--quiet", "train", "--width", "3"], ["train"]])
def test_what_goes_with_every_command_is_taken_out_wherever_it_stands(arguments):
    for more in (["--config", "a.toml"], ["--config=a.toml"]):
        call = parsed([*arguments, *more, "--debug"])
        assert call.arguments == [argument for argument in arguments if argument != "--quiet"]
        assert call.file == Path("a.toml")
        assert call.quiet == ("--quiet" in arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--config"], "--config has no value"),
        (["--config", "a", "--config=b", "train"], "one file, found a, b"),
        (["--completion"], "pass bash, zsh, tcsh"),
        (["--completion", "fish"], "bash, zsh, tcsh, found fish"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message, capsys):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_completion_script_is_all_that_is_printed(shell, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--completion", shell])
    assert end.value.code in (0, None)
    printed = capsys.readouterr().out
    assert "jaxalign" in printed
    assert "train" in printed


def test_a_config_of_a_run_gives_the_options_of_the_run(read):
    config = {"title": "a run", "train": as_settings(EVERY_KIND), "measured": {"layers": []}}
    found = read(json.dumps(config), "train", name="config.json")
    assert found == EVERY_KIND
    assert found.checkpoint == Path("weights.npz")


def test_toml_has_options_at_its_top_or_under_the_command(read):
    text = "num-samples = 5\nlearning_rate = [0.5]\ndefer = true\noverwrite = true\nout = 'x'"
    expected = Train(num_samples=5, learning_rate=(0.5,), defer=True, overwrite=True, out=Path("x"))
    assert read(text, "train") == expected
    assert read(f"[layers]\nwidth = 3\n[train]\n{text}", "train") == expected
    assert read("learning_rate = 0.5\nthresholds = []", "train") == Train(learning_rate=(0.5,))


def test_options_of_the_command_line_win(read):
    text = "model = 'cnn'\nsteps = 5\ndefer = true\nclasses = ['1', '2']"
    found = read(text, "train", "resnet18", "--steps", "7", "--no-defer", "--classes", "3", "4")
    assert found == Train(model="resnet18", steps=7, classes=("3", "4"))


def test_what_a_command_needs_may_come_from_either_side(read, capsys):
    assert read("memory = 2.0", "inspect", "mlp") == Inspect(model="mlp", memory=2.0)
    assert read("model = 'mlp'", "inspect") == Inspect(model="mlp")
    assert read("model = 'mlp'\nshape = [3]", "layers") == Layers(model="mlp", shape=(3,))
    found = read("k = 3\nmeasure = 'cknna'", "compare", "x", "y", "--b.width", "5")
    assert (found.k, found.a.model, found.b.model, found.b.width) == (3, "x", "y", 5)
    assert found.a == First(model="x")
    with pytest.raises(SystemExit):
        read("memory = 2.0", "inspect")
    assert "MODEL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("widht = 3", "a.toml", r"not an option of jaxalign train: widht \(is width meant\?\)"),
        ("model_width = 3\n", "a.toml", "not an option of jaxalign train: model_width"),
        ("num_samples = 3\nnum-samples = 4", "a.toml", "twice: num_samples, num-samples"),
        ("width = 1\n[train]\ndepth = 2", "a.toml", "beside it, width"),
        ("width = [1, 2]", "a.toml", r"width must be one value, found \[1, 2\]"),
        ("width =", "a.toml", "is damaged"),
        ("{", "a.json", "is damaged"),
        ('{"seed": 1, "seed": 2}', "a.json", "seed stands there twice; leave one out"),
        ("[1]", "a.json", "must hold a JSON object, found a list"),
        ("[inspect]\nlayers = ['a']", "a.toml", "a table for inspect and none for train"),
        ("defer = 'yes'", "a.toml", "defer must be true or false, found 'yes'"),
        ("defer = 1", "a.toml", "defer must be true or false, found 1"),
        ("steps = true", "a.toml", "steps must be one value, found True"),
        ("classes = [true]", "a.toml", "classes must be a value or a list of values, found True"),
        ("learning_rate = [[1.0]]", "a.toml", r"list of values, found \[1.0\]"),
        ('{"data": null}', "a.json", "data must be one value, found null"),
        ("layers = ['a', '--steps', '5']", "a.toml", "layers must not begin with -, .*'--steps'"),
        ("model = '--help'", "a.toml", "model must not begin with -"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(read, text, name, message):
    with pytest.raises(ValueError, match=message):
        read(text, "train", name=name)


def test_the_text_of_a_file_is_unicode(tmp_path, read):
    assert read("\ufeffwidth = 3", "train") == Train(width=3)
    (tmp_path / "a.toml").write_bytes(b"data = '\xe9'")
    with pytest.raises(ValueError, match=r"a.toml is damaged \('utf-8' codec"):
        options_from(tmp_path / "a.toml", WITH_FILE, ["train"])


def test_options_of_a_side_belong_on_the_command_line(read):
    for text in ("a = 'mlp'", "[a]\nmodel = 'mlp'"):
        with pytest.raises(ValueError, match="names a, which has options of its own"):
            read(text, "compare", "x", "y")


def test_a_value_of_another_kind_is_an_error_of_usage(read, capsys):
    with pytest.raises(SystemExit) as end:
        read("width = 'broad'", "train")
    assert end.value.code == 2
    assert "--width" in capsys.readouterr().err


def test_a_file_goes_with_a_command_that_takes_one(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("")
    for arguments in (["show", "run"], []):
        assert main([*arguments, "--config", str(tmp_path / "a.toml")]) == 1
        assert "--config is for jaxalign train, inspect" in capsys.readouterr().err
    assert main(["train", "--config", str(tmp_path)]) == 1
    assert "is a folder; pass a file" in capsys.readouterr().err


@pytest.mark.slow
def test_quiet_prints_errors_alone(trained, tmp_path, capsys):
    assert main(["show", str(trained.folder), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["show", str(tmp_path), "--quiet"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, "holds no run" in printed.err) == ("", True)
