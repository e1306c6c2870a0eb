"""tag and reap: the values of any function, out of every transformation that may hold them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxalign as ja


@jax.custom_jvp
def clipped(x):
    return ja.tag(jnp.clip(x, -1, 1), "clipped")


@clipped.defjvp
def _(primals, tangents):
    return clipped(*primals), 10 * tangents[0]  # told apart from the derivative of clip


@jax.custom_vjp
def scaled(x):
    return ja.tag(2 * x, "scaled")


scaled.defvjp(lambda x: (scaled(x), None), lambda _, bar: (100 * bar,))


def network(w, x, *, depth=2):
    for _ in range(depth):
        x = jax.jit(lambda x: ja.tag(jnp.tanh(x @ w), "hidden"))(x)
    x = jax.checkpoint(lambda x: ja.tag(jnp.sin(x), "rematted") + 1)(x)
    x, _ = jax.lax.scan(
        lambda c, row: (ja.tag(c * row, "scanned"), None), x, jnp.arange(1, 4, dtype=x.dtype)
    )
    return {"sum": scaled(clipped(x)).sum()}


NAMES = ["hidden", "hidden#2", "rematted", "scanned", "clipped", "scaled"]


@pytest.fixture
def arguments(rng):
    return tuple(jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((3, 3), (5, 3)))


def test_output_values_and_order(arguments, x64):
    w, x = arguments
    hidden = jnp.tanh(jnp.tanh(x @ w) @ w)
    for way in (ja.reap(network), jax.jit(ja.reap(network))):
        output, found = way(w, x)
        np.testing.assert_allclose(output["sum"], network(w, x)["sum"], rtol=1e-6)
        assert list(found) == NAMES
        np.testing.assert_allclose(found["hidden#2"], hidden, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["rematted"], jnp.sin(hidden), rtol=1e-5, atol=1e-6)
        start = jnp.sin(hidden) + 1
        np.testing.assert_allclose(found["scanned"], [start, 2 * start, 6 * start], rtol=1e-5)
        np.testing.assert_allclose(
            found["scaled"], 2 * jnp.clip(6 * start, -1, 1), rtol=1e-5, atol=1e-6
        )


def test_settings_that_are_no_arrays_stay_what_they_are(arguments):
    _, found = ja.reap(network, "hidden*")(*arguments, depth=3)
    assert list(found) == ["hidden", "hidden#2", "hidden#3"]


def test_the_gradient_of_the_output_keeps_custom_rules(arguments):
    plain = jax.grad(lambda w: network(w, arguments[1])["sum"])(arguments[0])
    reaped = jax.jit(jax.grad(lambda w: ja.reap(network)(w, arguments[1])[0]["sum"]))(arguments[0])
    np.testing.assert_allclose(reaped, plain, rtol=1e-5)


def test_the_gradient_of_a_captured_value(arguments):
    w, x = arguments
    found = jax.grad(lambda w: (ja.reap(network, "rematted")(w, x)[1]["rematted"] ** 2).sum())(w)
    expected = jax.grad(lambda w: (jnp.sin(jnp.tanh(jnp.tanh(x @ w) @ w)) ** 2).sum())(w)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_vmap_inside_and_outside(arguments):
    w, x = arguments

    def row(w, x):
        return ja.tag(jnp.tanh(x @ w), "row")

    inside = ja.reap(lambda w, x: jax.vmap(row, (None, 0))(w, x))(w, x)[1]["row"]
    outside = jax.vmap(ja.reap(row), (None, 0))(w, x)[1]["row"]
    np.testing.assert_allclose(inside, jnp.tanh(x @ w), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outside, inside, rtol=1e-6)


def test_reversed_scans_stack_by_row():
    def body(c, row):
        return (ja.tag(c + row, "sum"), row)

    outputs, found = ja.reap(lambda rows: jax.lax.scan(body, 0.0, rows, reverse=True))(
        jnp.arange(3.0)
    )
    np.testing.assert_array_equal(found["sum"], [3, 3, 2])
    np.testing.assert_array_equal(outputs[1], [0, 1, 2])


def test_tags_where_no_value_can_be_handed_out_are_refused(arguments):
    _, x = arguments

    def branch(x):
        return jax.lax.cond(
            x.sum() > 0, lambda x: ja.tag(x, "branch"), lambda x: x, ja.tag(x, "before")
        )

    with pytest.raises(ValueError, match=r"tag .branch. is inside cond, .* tag its result instead"):
        ja.reap(branch)(x)
    assert list(ja.reap(branch, "before")(x)[1]) == ["before"]

    def loop(x):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: ja.tag(x + 1, "turn"), x)

    with pytest.raises(ValueError, match="tag 'turn' is inside while"):
        ja.reap(loop)(x)


def test_a_name_that_is_not_there_raises_with_those_that_are(arguments):
    with pytest.raises(
        ValueError,
        match=r"layers \['conv\*'\] were asked for .*; the names there are: hidden, rematted",
    ):
        ja.reap(network, ["hidden", "conv*"])(*arguments)


def test_tap_of_a_function(arguments):
    tap = ja.tap(network, ["hidden", "scaled"])
    assert list(jax.jit(tap)(*arguments)[1]) == ["hidden", "hidden#2", "scaled"]
    with pytest.raises(ValueError, match="of a function tag the value that is meant"):
        ja.tap(network, at="input")


def of_columns(w, x):
    """Under vmap the samples are second, as the product of w and a batch of columns has them."""
    return jax.vmap(lambda row: jnp.sin(ja.tag(w @ row, "hidden")))(x)


def in_parts(w, x):
    return jax.vmap(lambda rows: ja.tag(rows @ w.T, "hidden"))(x.reshape(2, -1, x.shape[1]))


def over_heads(w, x):
    heads = jnp.stack([w, w])
    return jax.vmap(lambda head: ja.tag(x @ head.T, "hidden"))(heads).mean(0)


def in_a_loop(w, x):
    return jax.lax.scan(lambda c, _: (of_columns(w, c), None), x, None, length=2)[0]


@pytest.mark.parametrize("rows", [6, 3, 1])
@pytest.mark.parametrize("function", [of_columns, in_parts, over_heads, in_a_loop])
def test_a_tap_of_a_function_has_the_samples_first(rng, function, rows):
    """Also where features are as many as samples, which shapes alone cannot tell apart."""
    w, x = rng.standard_normal((3, 3)), rng.standard_normal((rows, 3))
    x = np.tile(x, (2, 1)) if function is in_parts else x
    name = "hidden[0]" if function is in_a_loop else "hidden"
    found = jax.jit(ja.tap(function))(w, x)[1][name]
    expected = x @ w.T
    if function is over_heads:
        expected = np.stack([expected, expected], axis=1)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    assert len(found) == len(x)


def test_unused_tags_and_captures_cost_nothing(arguments):
    def plain(w, x):
        return jnp.tanh(jnp.tanh(x @ w) @ w).sum()

    def tagged(w, x):
        return ja.tag(jnp.tanh(ja.tag(jnp.tanh(x @ w), "first") @ w), "second").sum()

    def program(function):
        text = jax.jit(function).lower(*arguments).compile().as_text()
        return [
            line.split("metadata")[0].split(" = ")[1] for line in text.splitlines() if " = " in line
        ]

    assert (
        len(program(plain))
        == len(program(tagged))
        == len(program(lambda w, x: ja.reap(tagged)(w, x)[0]))
    )


def test_equinox_models(rng):
    eqx = pytest.importorskip("equinox", reason="equinox is not installed")

    class Net(eqx.Module):
        first: eqx.nn.Linear
        last: eqx.nn.Linear

        def __call__(self, x):
            return self.last(ja.tag(jax.nn.relu(self.first(x)), "hidden"))

    model = Net(
        eqx.nn.Linear(4, 3, key=jax.random.key(0)), eqx.nn.Linear(3, 1, key=jax.random.key(1))
    )
    x = jnp.asarray(rng.standard_normal((6, 4)), jnp.float32)
    output, found = ja.tap(lambda model, x: jax.vmap(model)(x))(model, x)
    np.testing.assert_allclose(output, jax.vmap(model)(x), rtol=1e-6)
    np.testing.assert_allclose(found["hidden"], jax.nn.relu(jax.vmap(model.first)(x)), rtol=1e-6)


def test_haiku_models(rng):
    hk = pytest.importorskip("haiku", reason="haiku is not installed")
    forward = hk.without_apply_rng(
        hk.transform(lambda x: hk.Linear(1)(ja.tag(jax.nn.relu(hk.Linear(3)(x)), "hidden")))
    )
    x = jnp.asarray(rng.standard_normal((6, 4)), jnp.float32)
    parameters = forward.init(jax.random.key(0), x)
    output, found = jax.jit(ja.tap(forward.apply))(parameters, x)
    np.testing.assert_allclose(output, forward.apply(parameters, x), rtol=1e-6)
    assert found["hidden"].shape == (6, 3)
