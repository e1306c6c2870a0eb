import flax.linen
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.cli.subject.factory import is_factory, make

SOURCE = """
import dataclasses
from pathlib import Path
import jax, flax.linen
from flax import nnx
import neighbour

@dataclasses.dataclass
class Config:
    width: int = 3

class Net(nnx.Module):
    def __init__(self):
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        self.linear = nnx.Linear(2, Config().width, rngs=nnx.Rngs(neighbour.SEED))

    def __call__(self, x):
        return self.linear(self.drop(x))

def good():
    return Net()

instance = Net()

def linen():
    module = flax.linen.Dense(3)
    return module, module.init(jax.random.key(0), jax.numpy.ones((1, 2)))

def bare():
    return flax.linen.Dense(3)

def number():
    return 3

def pair():
    return Net(), 3

def needs(width, *, depth):
    return Net()

def breaks():
    return [][1]

constant = 5
"""


@pytest.fixture
def module(tmp_path):
    (tmp_path / "neighbour.py").write_text("SEED = 4\n")
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    return file


@pytest.mark.parametrize("name", ["good", "Net", "instance"])
def test_a_function_a_class_or_a_model_itself_in_evaluation_mode(module, name):
    made = make(f"{module}:{name}")
    assert isinstance(made.model, nnx.Module)
    assert made.model.drop.deterministic
    assert made.state["linear"]["kernel"].shape == (2, 3)


def test_a_linen_module_with_its_variables(module):
    made = make(f"{module}:linen")
    assert isinstance(made.model, flax.linen.Module)
    assert made.state["params"]["kernel"].shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", r"must return a flax\.nnx\.Module, a pair .*, found int"),
        ("pair", r"must return .*, found \['Net', 'int'\]"),
        ("bare", "linen module without variables"),
        ("needs", r"must be callable without arguments \(missing a required argument: 'width'\)"),
        ("breaks", r"raised IndexError: list index out of range \(line 42 of .*mine.py\)"),
        ("constant", "must be callable and return .*, found int"),
        ("missing", "has no 'missing'; what can be called in it: Config, Net, good, instance"),
        ("", "names no factory"),
    ],
)
def test_what_makes_no_model_is_said(module, name, message):
    with pytest.raises(ValueError, match=message):
        make(f"{module}:{name}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nonexistent_package",
            r"raised ModuleNotFoundError: No module named 'nonexistent_package' \(line 1 of",
        ),
        ("def f(:\n", r"raised SyntaxError: .*line 1 of"),
        ("\n\n1 / 0\n", r"raised ZeroDivisionError: division by zero \(line 3 of"),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path, source, message):
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(ValueError, match=message):
        make(f"{tmp_path / 'mine.py'}:f")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path/to/module\.py:factory"):
        make(f"{tmp_path / 'none.py'}:f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a/b.py:f", True), ("b.py", True), ("resnet18", False), ("squeezenet1.1", False)],
)
def test_factories_are_told_from_names(text, expected):
    assert is_factory(text) == expected


@pytest.mark.parametrize(
    ("framework", "body"),
    [
        ("equinox", "equinox.nn.Sequential([equinox.nn.Linear(4, 2, key=key), Drop()])"),
        ("keras", "keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2), Drop()])"),
    ],
)
def test_models_of_other_frameworks_are_in_inference_mode(framework, body, tmp_path):
    pytest.importorskip(framework, reason=f"{framework} is not installed")
    drop = {"equinox": "equinox.nn.Dropout(0.5)", "keras": "keras.layers.Dropout(0.5)"}[framework]
    source = f"import jax, {framework}\nkey = jax.random.key(0)\ndef build():\n    return {body}\n"
    (tmp_path / "theirs.py").write_text(source.replace("Drop()", drop))
    made = make(f"{tmp_path}/theirs.py:build")
    x = np.ones((3, 4), np.float32)
    output, activations = ja.tap(made.model)(made.state, x)
    first, last = activations.values()
    np.testing.assert_array_equal(first, last)
    np.testing.assert_array_equal(last, output)
