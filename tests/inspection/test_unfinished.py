"""An interrupted inspection goes on from the sums that it kept."""

import jax
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.inspection import inspect
from jaxalign.inspection._unfinished import Unfinished


@pytest.fixture(scope="module")
def layers():
    model = nnx.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), nnx.relu)
    return ja.tap(model), nnx.state(model)


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    rows = [(rng.standard_normal((8, 4)), rng.standard_normal((8, 2))) for _ in range(5)]
    return [tuple(x.astype(np.float32)[: 8 - i // 4] for x in pair) for i, pair in enumerate(rows)]


class Stop:
    """A callback that interrupts after so many rows of a pass, and counts those seen."""

    def __init__(self, stage, rows):
        self.stage, self.rows, self.seen = stage, rows, []

    def __call__(self, stage, rows):
        self.seen.append((stage, rows))
        if stage == self.stage and rows >= self.rows:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("method", "stage"),
    [
        pytest.param("moments", "first pass", marks=pytest.mark.slow),
        pytest.param("refined", "first pass", marks=pytest.mark.slow),
        ("refined", "second pass"),
    ],
)
def test_an_interrupted_pass_goes_on_with_the_same_numbers(
    layers, batches, tmp_path, method, stage
):
    folder = tmp_path / "unfinished"
    with pytest.raises(KeyboardInterrupt):
        inspect(*layers, batches, method=method, callback=Stop(stage, 16), unfinished=folder)
    rest = Stop(None, 0)
    found = inspect(*layers, batches, method=method, callback=rest, unfinished=folder)
    assert [rows for seen, rows in rest.seen if seen == stage] == [24, 32, 39]
    expected = inspect(*layers, batches, method=method)
    assert found.num_samples == expected.num_samples
    assert found.centered == expected.centered
    for name, spectrum in expected.spectra.items():
        np.testing.assert_array_equal(found.spectra[name].energy, spectrum.energy)
        np.testing.assert_array_equal(found.nulls[name].energy, expected.nulls[name].energy)


def test_sums_of_something_else_are_refused(layers, batches, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        inspect(*layers, batches, callback=Stop("first pass", 16), unfinished=tmp_path)
    tap, state = layers
    other = jax.tree.map(lambda x: x + 1, state)
    with pytest.raises(ValueError, match="holds sums of another model, or with other options"):
        inspect(tap, other, batches, unfinished=tmp_path)
    with pytest.raises(ValueError, match="must be those of the interrupted inspection"):
        inspect(*layers, [batches[1], batches[0], *batches[2:]], unfinished=tmp_path)
    with pytest.raises(ValueError, match="must be those of the interrupted inspection"):
        inspect(*layers, batches[:1], unfinished=tmp_path)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"first_pass\.npz cannot be read"):
        inspect(*layers, batches, unfinished=tmp_path)


def test_sums_of_a_whole_pass_are_not_those_of_other_batches(
    layers, batches, tmp_path, monkeypatch
):
    monkeypatch.setattr(Unfinished, "write_if_due", Unfinished.write)
    found = inspect(*layers, batches[:3], unfinished=tmp_path)
    other = [(inputs, -targets) for inputs, targets in batches[:3]]
    for data in (other, batches[:2]):
        with pytest.raises(ValueError, match="must be those of the interrupted inspection"):
            inspect(*layers, data, unfinished=tmp_path)
    again = inspect(*layers, batches[:3], unfinished=tmp_path)
    for name, spectrum in found.spectra.items():
        np.testing.assert_array_equal(again.spectra[name].energy, spectrum.energy)
    longer = inspect(*layers, batches, unfinished=tmp_path)
    assert longer.num_samples == sum(len(inputs) for inputs, _ in batches)
