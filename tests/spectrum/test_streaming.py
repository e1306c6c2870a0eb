from functools import partial

import jax
import numpy as np
import pytest

import jaxalign as ja
from jaxalign._core import memory
from jaxalign._spectrum import room, streaming


@pytest.fixture
def batches(rng, matrix_of):
    """float64 with condition 1e6, in five batches that a list yields as often as one likes."""
    features, targets = matrix_of(250, 8, np.geomspace(1, 1e-6, 8)), rng.standard_normal((250, 2))
    return [(features[i : i + 50], targets[i : i + 50]) for i in range(0, 250, 50)]


def arrays_of(spectrum: ja.Spectrum) -> tuple:
    """What spectra by different routes have in common."""
    return spectrum.singular_values, spectrum.energy, spectrum.total


def whole(batches):
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def error(found, features):
    exact = np.linalg.svd(features, compute_uv=False)
    return np.abs(found.singular_values / exact - 1).max()


@pytest.mark.slow
def test_a_second_pass_is_made_where_it_is_called_for(batches):
    features, _ = whole(batches)
    with jax.enable_x64(True):
        assert error(ja.stream_spectrum(batches), features) < 1e-11
        assert error(ja.stream_spectrum(batches, method="refined"), features) < 1e-11
        assert error(ja.stream_spectrum(batches, method="triangular"), features) < 1e-11
        once = ja.stream_spectrum(batches, method="moments")
        assert 1e-8 < error(once, features) < 1e-3
        np.testing.assert_array_equal(
            ja.stream_spectrum(iter(batches)).singular_values, once.singular_values
        )


def test_a_well_conditioned_stream_is_read_once(rng):
    class Counting(list):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    rows = rng.standard_normal((60, 5)).astype(np.float32)
    for method, passes in (("auto", 1), ("moments", 1), ("refined", 2), ("triangular", 1)):
        held = Counting([(rows[:40], np.ones((40, 1))), (rows[40:], np.ones((20, 1)))])
        ja.stream_spectrum(held, method=method)
        assert held.passes - 1 == passes or (method == "triangular" and held.passes == 1)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["moments", "refined", "triangular"])
@pytest.mark.parametrize("centered", [False, True])
def test_equals_the_arrays(rng, method, centered):
    features = (rng.standard_normal((90, 6)) + 3).astype(np.float32)
    targets = rng.standard_normal((90, 2)).astype(np.float32)
    batches = [(features[i : i + 25], targets[i : i + 25]) for i in range(0, 90, 25)]
    found = ja.stream_spectrum(batches, method=method, centered=centered)
    direct = ja.spectrum(features, targets, centered=centered)
    for a, b in zip(arrays_of(found), arrays_of(direct), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=5e-5)


def test_weights_in_the_stream(rng):
    features, targets = (
        rng.standard_normal((30, 3)).astype(np.float32),
        np.ones((30, 1), np.float32),
    )
    weights = (np.arange(30) % 3).astype(np.float32)
    found = ja.stream_spectrum([(features, targets, weights)], method="refined")
    expected = ja.spectrum(features * weights[:, None] ** 0.5, targets * weights[:, None] ** 0.5)
    np.testing.assert_allclose(found.singular_values, expected.singular_values, rtol=1e-6)


def test_a_centred_second_pass_survives_a_large_mean(rng, matrix_of):
    """About the mean from products of rows that are far from it: the first pass cancels ten digits,
    the second none.
    """
    features = matrix_of(200, 5, np.geomspace(1, 1e-4, 5)) + 100
    centred = features - features.mean(axis=0)
    with jax.enable_x64(True):
        first = ja.moments(features, np.ones((200, 1)))
        assert error(ja.spectrum(first, centered=True), centred) > 1e-4
        b = ja.basis(first, centered=True)
        second = ja.moments(features, np.ones((200, 1)), basis=b)
        assert error(ja.spectrum(second, basis=b), centred) < 1e-6
        traced = jax.jit(lambda x: ja.spectrum(ja.moments(x, np.ones((200, 1)), basis=b), basis=b))(
            features
        )
        assert error(traced, centred) < 1e-6


def test_bad_streams_and_bases_are_explained(batches, rng):
    with pytest.raises(ValueError, match="found none; is the iterator used up"):
        ja.stream_spectrum([])
    with pytest.raises(ValueError, match="reads batches twice, found an iterator"):
        ja.stream_spectrum(iter(batches), method="refined")
    with pytest.raises(ValueError, match="method must be 'auto'"):
        ja.stream_spectrum(batches, method="svd")

    class Shrinking:
        def __init__(self, batches):
            self.batches = batches

        def __iter__(self):
            yield from self.batches
            self.batches = self.batches[:-1]

    with pytest.raises(
        ValueError, match=r"the same on both passes, found rows of weight 250.0 and then 200.0"
    ):
        ja.stream_spectrum(Shrinking(batches), method="refined")
    first = ja.accumulate(batches)
    b = ja.basis(first)
    second = ja.accumulate(batches, partial(ja.moments, basis=b))
    with pytest.raises(ValueError, match="agree in passes, found 1 and 2"):
        first + second
    with pytest.raises(ValueError, match="found none with a Moments"):
        ja.spectrum(second)
    with pytest.raises(ValueError, match="found one with a Moments"):
        ja.spectrum(first, basis=b)
    with pytest.raises(ValueError, match="not centred"):
        ja.spectrum(second, basis=b, centered=True)
    with pytest.raises(ValueError, match="those of a second"):
        ja.basis(second)
    with pytest.raises(ValueError, match="basis must be of d = 3 features, found one of 8"):
        ja.moments(np.ones((4, 3)), np.ones((4, 1)), basis=b)
    with pytest.raises(ValueError, match="for arrays pass method='refined'"):
        ja.spectrum(*whole(batches), basis=b)


@pytest.mark.parametrize("method", ["auto", "refined", "triangular"])
def test_wide_streams_plan_their_memory_before_they_sum(method, monkeypatch):
    """20,000 features: the message says what is needed and what there is, and no row is summed."""
    monkeypatch.setattr(room, "available", lambda device: 2**30)
    for name in ("moments", "triangle"):
        monkeypatch.setattr(streaming, name, lambda *batch: pytest.fail("rows were summed"))
    rows = np.broadcast_to(np.float32(1), (4, 20_000))
    match = (
        r"d = 20,000 columns need (17\.9|8\.94) GiB .* 1 GiB are available on the cpu; pass fewer"
    )
    with pytest.raises(ValueError, match=match):
        ja.stream_spectrum([(rows, np.ones((4, 1)))], method=method)


def test_wide_sums_plan_their_memory(monkeypatch):
    monkeypatch.setattr(room, "available", lambda device: 2**30)
    rows = np.broadcast_to(np.float32(1), (4, 20_000))

    def pair(x, y):
        return ja.similarity.pair_moments(x, x)

    def of_stream(x, y):
        return ja.accumulate([(x, y)])

    for function in (ja.moments, ja.triangle, of_stream, pair):
        with pytest.raises(ValueError, match=r"0,000 columns need .* are available on the cpu"):
            function(rows, np.ones((4, 1)))


def test_what_is_left_of_memory_is_known_on_linux(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    device = jax.devices()[0]
    assert memory.available(device) is None  # as on other systems: then nothing is refused
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    2000 kB\n")
    assert memory.available(device) == 2000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert memory.available(device) == 2000 * 1024
    (tmp_path / "memory.max").write_text("4196\n")
    assert memory.available(device) == 4096
