"""Anything with init and update is an optimizer; it may ask for the loss and for its function."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.training import classification, one_of, squared_error
from jaxalign.training._optimizer import extra_arguments, with_extra_arguments

PLATEAU = optax.contrib.reduce_on_plateau(factor=0.5, patience=2, accumulation_size=2)
OPTIMIZERS = {
    "MultiSteps": optax.MultiSteps(optax.adam(1e-2), every_k_schedule=3),
    "reduce_on_plateau": optax.chain(optax.sgd(0.5), PLATEAU),
    "polyak_sgd": optax.polyak_sgd(max_learning_rate=1.0),
}
LBFGS = optax.lbfgs(memory_size=3)
BACKTRACKING = optax.chain(
    optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=15)
)
SEEDS = (3, 5)


class Noisy(nnx.Module):
    """BatchNorm and dropout: the loss depends on more than parameters, and changes more."""

    def __init__(self, seed: int = 0, dropout: float = 0.5):
        rngs = nnx.Rngs(seed)
        self.hidden = nnx.Linear(6, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.out = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


class Witness(NamedTuple):
    """What an optimizer saw at its last update."""

    value: jax.Array
    again: jax.Array
    gradient_error: jax.Array


def witness(rate: float = 0.1) -> optax.GradientTransformationExtraArgs:
    """Gradient descent that asks for the loss once more where it was taken."""

    def init(params):
        return Witness(jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))

    def update(updates, state, params, *, value, grad, value_fn, **extra):
        again, gradient = jax.value_and_grad(value_fn)(params)
        errors = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), gradient, grad)
        error = jnp.stack(jax.tree.leaves(errors)).max()
        steps = jax.tree.map(lambda g: -rate * g, updates)
        return steps, Witness(value, again, error)

    return optax.GradientTransformationExtraArgs(init, update)


def devices(count: int | None) -> jax.sharding.Mesh | None:
    return None if count is None else jax.make_mesh((count,), ("data",))


PLACES = pytest.mark.parametrize(
    ("several", "mesh"),
    [
        pytest.param(False, None, marks=pytest.mark.slow),
        (True, None),
        (False, 2),
        pytest.param(True, 2, marks=pytest.mark.slow),
    ],
    ids=["one", "several", "one on a mesh", "several on a mesh"],
)


@pytest.mark.slow
@PLACES
def test_the_function_of_the_loss_sees_the_same_batch_state_and_random_keys(task, several, mesh):
    models = [Noisy(seed) for seed in SEEDS] if several else Noisy()
    state, history = task.fit(models, witness(), monitor=None, mesh=devices(mesh))
    seen = state.optimizer
    np.testing.assert_allclose(seen.again, seen.value, rtol=1e-6)
    np.testing.assert_allclose(seen.gradient_error, 0, atol=1e-6)
    # The last update, the 20th, was made on the batch of row 19.
    np.testing.assert_allclose(seen.value, history.loss[-2], rtol=1e-6)


def loop(task, optimizer, steps=20):
    """The losses of a plain optax loop that hands on the value."""
    graph, params = nnx.split(task.model())
    optimizer = optax.with_extra_args_support(
        optimizer.gradient_transformation()
        if isinstance(optimizer, optax.MultiSteps)
        else optimizer
    )

    @jax.jit
    def step(params, state, inputs, labels):
        def loss_of(params):
            return classification(nnx.merge(graph, params)(inputs), labels)[0]

        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return loss, optax.apply_updates(params, updates), state

    order = np.concatenate(
        [np.random.default_rng((0, epoch)).permutation(90) for epoch in range(4)]
    )
    state = optimizer.init(params)
    losses = []
    for t in range(steps + 1):
        rows = order[t * 16 : (t + 1) * 16]
        loss, params, state = step(params, state, task.inputs[rows], task.labels[rows])
        losses.append(loss)
    return np.array(losses)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["MultiSteps", "reduce_on_plateau", pytest.param("polyak_sgd", marks=pytest.mark.slow)],
)
def test_it_trains_as_in_a_plain_loop(task, name):
    _, history = task.fit(task.model(), OPTIMIZERS[name], monitor=None)
    np.testing.assert_allclose(history.loss, loop(task, OPTIMIZERS[name]), rtol=1e-4)
    assert not np.allclose(history.loss, task.fit(task.model(), monitor=None)[1].loss)


@pytest.mark.parametrize("again", [False, True], ids=["gradient", "gradient asked for again"])
def test_complex_parameters_go_down_as_their_real_and_imaginary_parts_do(again):
    """What jax gives as their gradient is the conjugate of the way up."""

    class Point(nnx.Module):
        def __init__(self):
            self.z = nnx.Param(jnp.array(3 + 3j))

        def __call__(self, x):
            return jnp.stack([self.z[...].real, self.z[...].imag]) * x

    def update(updates, state, params, *, grad_fn, **extra):
        chosen = grad_fn(params, None) if again else updates
        return jax.tree.map(lambda g: -0.1 * g, chosen), state

    descent = optax.GradientTransformationExtraArgs(lambda params: (), update)
    goal = np.tile(np.float32([1, 2]), (4, 1))
    settings = {"steps": 10, "batch_size": 4, "objective": squared_error}
    state, history = ja.fit(Point(), descent, np.ones_like(goal), goal, **settings)
    expected = 1 + 2j + (2 + 1j) * 0.8**10
    np.testing.assert_allclose(state.model["z"][...], expected, rtol=1e-5)
    np.testing.assert_allclose(history.loss, 5 * 0.64 ** np.arange(11), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_trains_batchnorm_and_dropout_alone_together_and_on_a_mesh(task, name):
    settings = {"monitor": None, "seed": 1}
    _, alone = task.fit(Noisy(5), OPTIMIZERS[name], **settings)
    _, together = task.fit([Noisy(seed) for seed in SEEDS], OPTIMIZERS[name], **settings)
    np.testing.assert_allclose(together.of(1).loss, alone.loss, rtol=1e-4)
    _, split = task.fit(Noisy(5), OPTIMIZERS[name], mesh=devices(2), **settings)
    np.testing.assert_allclose(split.loss, alone.loss, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "several"),
    [("MultiSteps", False), ("reduce_on_plateau", True), ("polyak_sgd", False), ("lbfgs", True)],
)
def test_it_goes_on_from_a_checkpoint(task, name, several, tmp_path):
    optimizer = OPTIMIZERS.get(name, LBFGS)
    models = [Noisy(seed) for seed in SEEDS] if several else Noisy()
    settings = {"monitor": None, "mesh": devices(2) if several else None}
    _, whole = task.fit(models, optimizer, **settings)
    kept = ja.Checkpoints(tmp_path, every=7)
    task.fit(models, optimizer, checkpoints=kept, callback=lambda part: True, **settings)
    state, rest = task.fit(models, optimizer, checkpoints=kept, **settings)
    assert rest.step[0] == 14
    np.testing.assert_array_equal(rest.loss, whole.loss[14:])
    assert (np.asarray(state.step) == 20).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "several", "mesh"),
    [
        (BACKTRACKING, False, None),
        *(
            pytest.param(LBFGS, *place, marks=pytest.mark.slow)
            for place in [(True, None), (False, 2)]
        ),
    ],
)
def test_a_line_search_accepts_the_loss_that_is_logged_next(task, optimizer, several, mesh):
    """With all samples in each batch, what the line search found at the parameters that it moved to
    is the next row's loss; and a step never goes up.
    """
    models = [task.model(seed) for seed in SEEDS] if several else task.model()
    settings = {"monitor": None, "batch_size": 90, "steps": 10, "mesh": devices(mesh)}
    state, history = task.fit(models, optimizer, **settings)
    accepted = optax.tree.get(state.optimizer, "value")
    np.testing.assert_allclose(accepted, history.loss[-1], rtol=1e-5)
    assert (np.diff(history.loss, axis=0) < 1e-6).all()
    assert (history.loss[-1] < 0.9 * history.loss[0]).all()
    if optimizer is LBFGS:
        assert (history.loss[-1] < 0.7 * history.loss[0]).all()


# Between them this test and the last one train by L-BFGS everywhere.
@pytest.mark.slow
@pytest.mark.parametrize(("several", "mesh"), [(False, None), (True, 2)])
def test_lbfgs_trains_batchnorm_and_dropout(task, several, mesh):
    models = [Noisy(seed, 0.1) for seed in SEEDS] if several else Noisy(dropout=0.1)
    settings = {"monitor": None, "batch_size": 90, "mesh": devices(mesh)}
    state, history = task.fit(models, LBFGS, **settings)
    assert (history.loss[-5:].mean(axis=0) < 0.8 * history.loss[:2].mean(axis=0)).all()
    assert not np.allclose(state.model["norm"]["mean"][...], 0)
    # One count a step: the search for a step size draws no random numbers of its own.
    counts = jax.tree.leaves(nnx.filter_state(state.model, nnx.RngCount))
    assert (np.asarray(counts) == 20).all()


@pytest.mark.slow
def test_one_of_several_optimizers_may_need_the_value(task):
    rules = [optax.sgd(0.1), optax.polyak_sgd(1.0)]
    models = [task.model()] * 2
    settings = {"hyperparameters": np.arange(2), "monitor": None}
    _, history = task.fit(models, one_of(rules), **settings)
    for i, rule in enumerate(rules):
        _, alone = task.fit(task.model(), rule, monitor=None)
        np.testing.assert_allclose(history.of(i).loss, alone.loss, rtol=1e-4)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (2, ValueError, "index must be from 0 to 1, of 2 optimizers, found 2"),
        (-1, ValueError, "index must be from 0 to 1, of 2 optimizers, found -1"),
        (1.0, TypeError, "index must be a whole number, found one of float32"),
    ],
)
def test_an_index_without_an_optimizer_is_refused(task, index, error, message):
    rules = one_of([optax.sgd(1.0), optax.sgd(0.5)])
    with pytest.raises(error, match=message):
        task.fit([task.model()] * 2, rules, hyperparameters=np.array([0, index]))
    with pytest.raises(ValueError, match="at least one optimizer"):
        one_of([])


def test_a_traced_index_without_an_optimizer_updates_by_nan():
    def moved(index):
        rule = one_of([optax.sgd(1.0), optax.sgd(0.5)])(index)
        return rule.update(jnp.ones(1), rule.init(jnp.ones(1)))[0]

    moves = jax.jit(jax.vmap(moved))(jnp.arange(-1, 3))
    np.testing.assert_array_equal(moves[:, 0], [np.nan, -1.0, -0.5, np.nan])


def test_an_optimizer_of_ones_own_is_given_what_it_takes(task):
    class Plain:
        def init(self, params):
            return ()

        def update(self, updates, state, params):
            return jax.tree.map(lambda g: -0.1 * g, updates), state

    class Asking(Plain):
        def update(self, updates, state, params, *, value):
            return jax.tree.map(lambda g: -0.1 * g * value / value, updates), state

    _, expected = task.fit(task.model(), optax.sgd(0.1), monitor=None)
    for optimizer in (Plain(), Asking()):
        _, history = task.fit(task.model(), optimizer, monitor=None)
        np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-5)


def sharpness_aware(length=0.1):
    settings = {"sync_period": 2, "opaque_mode": True}
    return optax.contrib.sam(optax.sgd(0.1), optax.sgd(length), **settings)


CHAINED = optax.chain(optax.clip(1.0), optax.sgd(0.1))
ASKING = {
    "sophia": (optax.contrib.sophia(0.1), ["obj_fn"]),
    "sophia in a chain": (optax.chain(optax.clip(1.0), optax.contrib.sophia(0.1)), ["obj_fn"]),
    "sam": (sharpness_aware(), ["grad_fn"]),
    "sam in a chain": (optax.chain(optax.clip(1.0), sharpness_aware()), ["grad_fn"]),
    "masked sam": (optax.masked(sharpness_aware(), mask=True), ["grad_fn"]),
    "sam if finite": (optax.apply_if_finite(sharpness_aware(), 2), ["grad_fn"]),
    "line search": (BACKTRACKING, ["value", "grad", "value_fn"]),
    "jitted": (optax.GradientTransformation(CHAINED.init, jax.jit(CHAINED.update)), []),
}


def offered(optimizer):
    """An update of a quartic, jitted, with all that ``fit`` offers; and what it offers."""

    def loss_of(params):
        return jnp.sum(params["w"] ** 4)

    params = {"w": jnp.array([0.5, -1.0])}
    value, gradient = jax.value_and_grad(loss_of)(params)
    extra = extra_arguments(value, gradient, loss_of)
    state = optimizer.init(params)

    def update(names):
        taken = {name: extra[name] for name in names}
        return jax.jit(lambda: optimizer.update(gradient, state, params, **taken))()

    return update, list(extra)


def given_everything(optimizer):
    update, everything = offered(with_extra_arguments(optimizer))
    return update(everything)


@pytest.mark.parametrize("name", ASKING)
def test_an_optimizer_is_given_what_it_takes_however_it_is_wrapped(name):
    optimizer, names = ASKING[name]
    expected = offered(optimizer)[0](names)
    found = given_everything(optimizer)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def descent(**changes):
    """Gradient descent with other functions."""

    def update(updates, state, params=None):
        return jax.tree.map(lambda g: -0.1 * g, updates), state

    return optax.GradientTransformation(**{"init": lambda params: (), "update": update, **changes})


def needs_batch(updates, state, params=None, *, batch):
    return updates, state


FAILING = {
    "looks for another structure": (optax.lookahead(optax.sgd(0.1), 5, 0.5), "update raises Attr"),
    "unknown labels": (optax.multi_transform({"a": optax.sgd(0.1)}, "b"), "init raises ValueError"),
    "no rate": (optax.sgd("fast"), "update raises TypeError"),
    "raises": (descent(init=lambda params: 1 / 0), "init raises ZeroDivisionError"),
    "asks for more": (descent(update=needs_batch), r"argument: 'batch'.*value, grad, value_fn"),
    "one update for all": (
        descent(update=lambda updates, state, params: (jnp.ones(()), state)),
        "returns an array of shape .. of another structure",
    ),
    "too large": (descent(init=lambda params: np.int64(2**40)), "must fit in int32"),
    "text": (descent(init=lambda params: {"name": "mine"}), "must be an array of numbers"),
}


@pytest.mark.parametrize("name", FAILING)
def test_an_optimizer_that_cannot_train_is_named_with_its_reason(name):
    optimizer, reason = FAILING[name]
    with pytest.raises(ValueError, match=f"(?s)optimizer cannot train this model, its .*{reason}"):
        given_everything(optimizer)


def growing(updates, state, params=None):
    return updates, jnp.append(state, 1.0)


def fractional(updates, state, params=None):
    return updates, state + 0.5


@pytest.mark.parametrize(
    ("start", "update", "reason"),
    [
        (jnp.zeros(1), growing, r"'optimizer', found float32 \(2,\) after float32 \(1,\)"),
        (jnp.int32(0), fractional, r"'optimizer', found float32 \(\) after int32 \(\)"),
    ],
)
def test_a_state_that_changes_its_kind_is_named(task, start, update, reason):
    rule = descent(init=lambda params: start, update=update)
    with pytest.raises(ValueError, match=f"must keep the shape and dtype of {reason}"):
        task.fit(task.model(), rule, monitor=None)


@pytest.mark.slow
def test_a_checkpoint_holds_a_state_with_arrays_of_no_elements(task, tmp_path):
    rule = descent(init=lambda params: {"none": jnp.zeros((0, 3)), "count": jnp.int32(7)})
    settings = {"monitor": None, "checkpoints": ja.Checkpoints(tmp_path, every=7)}
    task.fit(task.model(), rule, callback=lambda part: True, **settings)
    state, _ = task.fit(task.model(), rule, **settings)
    assert state.optimizer["none"].shape == (0, 3)
    assert state.optimizer["count"] == 7


def test_an_optimizer_may_keep_the_parameters_themselves(task):
    """Schedule-free optimizers and averages do; the same array must then not be donated twice, or
    taken from the model.
    """

    def update(updates, anchor, params):
        pulled = jax.tree.map(lambda u, a, p: u + 0.1 * (a - p), updates, anchor, params)
        return pulled, anchor

    pull = optax.GradientTransformation(init=lambda params: params, update=update)
    model = task.model()
    before = jax.tree.map(jnp.copy, nnx.state(model))
    task.fit(model, optax.chain(optax.sgd(0.1), pull), monitor=None)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(nnx.state(model)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_what_is_no_optimizer_is_refused(task):
    with pytest.raises(ValueError, match="optimizer must have init and update"):
        task.fit(task.model(), 0.1, monitor=None)
