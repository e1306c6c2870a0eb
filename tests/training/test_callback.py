"""What ``fit`` hands on while it runs, and how that can end a run."""

import gc
import io
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import jaxalign as ja
from jaxalign.training import ProgressBar


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def whole(task):
    """(state, history) of a run of three chunks."""
    return task.fit(task.model())


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(True, id="True"),
        pytest.param(np.True_, id="numpy's True", marks=pytest.mark.slow),
    ],
)
def test_true_ends_the_run_with_the_chunk_that_is_running(task, whole, answer, tmp_path):
    """History, state and checkpoint agree, and the run can be gone on with."""
    parts = []

    def callback(part):
        parts.append(part)
        return answer

    kept = ja.Checkpoints(tmp_path, every=1000)
    state, history = task.fit(task.model(), callback=callback, checkpoints=kept)
    assert [part.step[-1] for part in parts] == [6, 13]
    np.testing.assert_array_equal(history.step, np.arange(14))
    assert state.step == 14
    assert kept.steps() == [14]
    assert_same(history.layers, jax.tree.map(lambda x: x[:14], whole[1].layers))
    resumed, rest = task.fit(task.model(), checkpoints=kept)
    assert_same(rest.layers, jax.tree.map(lambda x: x[14:], whole[1].layers))
    np.testing.assert_array_equal(rest.step, np.arange(14, 21))
    assert_same(resumed, whole[0])


def test_a_run_may_end_by_what_was_logged(task, whole, tmp_path):
    """Written to a folder on the way, which holds what the history holds."""
    writer = ja.RunWriter(tmp_path, {})

    def callback(part):
        writer.write(part)
        return part.loss[-1] < whole[1].loss[0]

    _, history = task.fit(task.model(), callback=callback)
    assert len(history.step) < 21
    assert_same(ja.read_history(tmp_path), history)


@pytest.mark.parametrize("answer", [np.array(True), jnp.array(True)], ids=["numpy", "jax"])
def test_an_array_of_no_axes_that_is_true_ends_it_too(task, answer):
    """What jax makes of a comparison is an array."""
    _, history = task.fit(task.model(), callback=lambda part: answer, monitor=None)
    assert len(history.step) < 21


def test_true_at_the_end_changes_nothing(task, whole):
    state, history = task.fit(task.model(), callback=lambda part: part.step[-1] == 20)
    assert_same((state, history), whole)


@pytest.mark.parametrize(
    "answer", [None, False, np.False_, 1, "stop", np.ones(3, bool), np.ones(())], ids=repr
)
def test_nothing_else_ends_it(task, answer):
    _, history = task.fit(task.model(), callback=lambda part: answer, monitor=None)
    assert len(history.step) == 21


@pytest.mark.slow
@pytest.mark.parametrize("devices", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_several_models_end_together(task, devices, tmp_path):
    models = [task.model(seed) for seed in (3, 5)]
    mesh = None if devices is None else jax.make_mesh((devices,), ("data",))
    kept = ja.Checkpoints(tmp_path)
    settings = {"monitor": None, "mesh": mesh}
    state, history = task.fit(models, callback=lambda part: True, checkpoints=kept, **settings)
    np.testing.assert_array_equal(state.step, [14, 14])
    assert history.loss.shape == (14, 2)
    _, rest = task.fit(models, checkpoints=kept, **settings)
    _, unbroken = task.fit(models, **settings)
    np.testing.assert_array_equal(rest.loss, unbroken.loss[14:])


def test_an_interrupt_is_passed_on_after_the_running_chunk_was_observed(task):
    steps = []

    def observe(part):
        steps.extend(part.step.tolist())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.fit(task.model(), callback=observe, monitor=None)
    assert steps == list(range(14))


@pytest.mark.slow
def test_rows_go_to_a_callback_alone_on_request(task, whole):
    arrays = []
    steps = []

    def callback(part):
        arrays.append(weakref.ref(part.layers["hidden_2"]["curve"]))
        steps.extend(part.step.tolist())

    state, history = task.fit(task.model(), callback=callback, keep_history=False)
    assert_same(state, whole[0])
    assert steps == list(range(21))
    assert len(history.step) == len(history.loss) == len(history.layers) == 0
    gc.collect()
    assert [array() for array in arrays] == [None] * 3


def test_rows_that_nobody_takes_are_refused(task):
    with pytest.raises(ValueError, match=r"keep_history=False needs a callback .* found none"):
        task.fit(task.model(), keep_history=False)


@pytest.mark.slow
def test_a_run_killed_before_its_last_row_is_delivered_delivers_it_later(task, tmp_path):
    """Also where the last step begins a chunk."""
    kept = ja.Checkpoints(tmp_path, every=4)
    settings = {"monitor": None, "chunk": 5, "checkpoints": kept}

    def stop(part):
        if part.step[-1] == 20:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        task.fit(task.model(), callback=stop, **settings)
    assert task.fit(task.model(), **settings)[1].step[-1] == 20


def logged_until(step: int, models: int | None = None) -> ja.History:
    """A chunk that ends at a step; of several models the first diverged."""
    losses = np.full((5,) if models is None else (5, models), 0.25)
    if models is not None:
        losses[:, 0] = np.nan
    return ja.History(np.arange(step - 4, step + 1), np.arange(0), losses, {}, {}, {}, {})


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def console(request):
    return Console(file=io.StringIO(), force_terminal=request.param, width=100)


@pytest.mark.parametrize("models", [None, 3])
def test_a_progress_bar_tells_how_far_a_run_came(console, models):
    parts = []

    def callback(part):
        parts.append(part)
        return len(parts) == 2

    bar = ProgressBar(20, callback=callback, console=console)
    assert [bar(logged_until(step, models)) for step in (10, 20)] == [False, True]
    assert [part.step[-1] for part in parts] == [10, 20]
    printed = console.file.getvalue()
    assert "20/20" in printed
    assert "loss 0.25" in printed


def test_a_progress_bar_ends_with_a_run_that_fails(console):
    bar = ProgressBar(20, console=console)

    def fail():
        with bar:
            bar(logged_until(10))
            raise RuntimeError("the loader")

    with pytest.raises(RuntimeError, match="the loader"):
        fail()
    printed = console.file.getvalue()
    assert "10/20" in printed
    if console.is_terminal:
        assert printed.rindex("\x1b[?25h") > printed.rindex("\x1b[?25l")  # the cursor is back


def test_a_progress_bar_needs_whole_steps():
    with pytest.raises(ValueError, match="steps must be at least 1"):
        ProgressBar(0)
    with pytest.raises(TypeError, match="steps"):
        ProgressBar(2.5)
