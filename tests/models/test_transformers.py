from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxalign as ja
from jaxalign.models import BERT, Decoder, ViT, bert_base, embed, minilm_l6, vit_b_16, vit_s_16
from jaxalign.models._attention import attend

TOKENS = np.array([[1, 7, 2, 0], [3, 4, 5, 6]])
MASK = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])


def small_vit(*, depth=2, rngs, **options):
    return ViT(8, depth, 2, 3, image=16, patch=8, **options, rngs=rngs)


def small_bert(*, depth=2, rngs, **options):
    return BERT(20, 8, depth, 2, positions=8, **options, rngs=rngs)


def small_decoder(*, depth=2, rngs, **options):
    return Decoder(20, 8, depth, 2, positions=8, **options, rngs=rngs)


@cache
def shapes(build):
    """The model as shapes alone, which no compilation is needed for."""
    return nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))


def inputs_of(build):
    return jnp.ones((2, 16, 16, 3)) if build is small_vit else TOKENS


attend_in_jit = jax.jit(attend, static_argnums=3)


def test_attention_of_one_head_is_its_formula(rng):
    query, key, value = rng.standard_normal((3, 2, 5, 4)).astype(np.float32)
    weights = np.exp(query @ key.transpose(0, 2, 1) / 2)
    weights /= weights.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        attend_in_jit(query, key, value, 1), weights @ value, rtol=1e-5, atol=1e-6
    )


def test_heads_are_stretches_of_features_that_do_not_mix(rng):
    query, key, value = rng.standard_normal((3, 2, 5, 6)).astype(np.float32)
    apart = [
        attend_in_jit(query[..., i : i + 2], key[..., i : i + 2], value[..., i : i + 2], 1)
        for i in (0, 2, 4)
    ]
    np.testing.assert_allclose(
        attend_in_jit(query, key, value, 3), np.concatenate(apart, axis=-1), rtol=1e-5, atol=1e-6
    )


def test_masked_positions_are_as_good_as_absent(rng):
    query, key, value = rng.standard_normal((3, 1, 5, 4)).astype(np.float32)
    mask = np.array([[1, 1, 1, 0, 0]])
    found = attend_in_jit(query, key, value, 2, mask=mask)
    np.testing.assert_allclose(
        found, attend_in_jit(query, key[:, :3], value[:, :3], 2), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (vit_s_16, 22_050_664),
        pytest.param(vit_b_16, 86_567_656, marks=pytest.mark.slow),
        pytest.param(bert_base, 109_482_240, marks=pytest.mark.slow),
        (minilm_l6, 22_713_216),
    ],
)
def test_published_models_have_their_published_size(build, parameters):
    state = nnx.state(shapes(build), nnx.Param)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == parameters


@pytest.mark.parametrize("build", [small_vit, small_bert, small_decoder])
def test_post_activations_are_the_blocks_in_the_order_they_run(build):
    model = shapes(build)
    tap = ja.tap(model, model.post_activations)
    _, activations = jax.eval_shape(tap, nnx.state(model), inputs_of(build))
    assert tuple(activations) == model.post_activations
    assert {a.shape for a in activations.values()} == {(2, 5 if build is small_vit else 4, 8)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(small_vit, marks=pytest.mark.slow),
        small_bert,
        pytest.param(small_decoder, marks=pytest.mark.slow),
    ],
)
def test_dropout_drops_in_training_mode_only(random_model, forward, build):
    model = random_model(partial(build, depth=1, dropout=0.5))
    plain = random_model(partial(build, depth=1))
    x = inputs_of(build)
    nnx.update(model, nnx.state(plain, nnx.Param))
    first, second = (jax.tree.leaves(forward(model, x))[0] for _ in range(2))
    assert not np.allclose(first, second)
    model.eval()
    np.testing.assert_array_equal(
        jax.tree.leaves(forward(model, x))[0], jax.tree.leaves(forward(plain, x))[0]
    )


def test_vit_sees_where_a_patch_is(random_model, forward, rng):
    model = random_model(partial(small_vit, depth=1))
    image = rng.standard_normal((1, 16, 16, 3)).astype(np.float32)
    swapped = np.concatenate([image[:, 8:], image[:, :8]], axis=1)
    assert not np.allclose(forward(model, image), forward(model, swapped), atol=1e-4)
    model.encoder.pos_embedding[...] = jnp.zeros_like(model.encoder.pos_embedding[...])
    np.testing.assert_allclose(forward(model, image), forward(model, swapped), rtol=1e-4, atol=1e-5)


def test_a_token_of_the_decoder_sees_none_that_follow(random_model, forward):
    model = random_model(partial(small_decoder, depth=1))
    changed = TOKENS.copy()
    changed[:, 3] = 9
    before, after = forward(model, TOKENS), forward(model, changed)
    np.testing.assert_allclose(before[:, :3], after[:, :3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(before[:, 3], after[:, 3])


@pytest.mark.slow
def test_the_decoder_learns_and_is_tied(random_model):
    model = random_model(small_decoder)

    def loss(model):
        return -jax.nn.log_softmax(model(TOKENS[:, :-1]))[:, jnp.arange(3), TOKENS[1, 1:]].mean()

    gradient = nnx.jit(nnx.grad(loss))(model)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    assert not any("head" in str(path) for path, _ in nnx.to_flat_state(nnx.state(model)))


@pytest.mark.slow
def test_padding_does_not_change_an_embedding(random_model):
    model = random_model(partial(small_bert, depth=1))
    in_jit = nnx.jit(embed)
    padded = in_jit(model, TOKENS, MASK)
    alone = in_jit(model, TOKENS[:1, :3], MASK[:1, :3])
    np.testing.assert_allclose(alone[0], padded[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(padded, axis=1), 1, rtol=1e-6)
    no_blocks = random_model(partial(small_bert, depth=0, pooler=False))
    np.testing.assert_allclose(
        in_jit(no_blocks, TOKENS, MASK), embed(no_blocks, TOKENS, MASK), rtol=1e-5, atol=1e-6
    )


def test_segments_count_and_the_pooler_can_be_left_out(random_model, forward):
    model = random_model(partial(small_bert, depth=1, pooler=False))
    ones, zeros = np.ones_like(TOKENS), np.zeros_like(TOKENS)
    alone = forward(model, TOKENS)
    assert alone.pooled is None
    assert not np.allclose(alone.tokens, forward(model, TOKENS, ones, ones).tokens)
    np.testing.assert_allclose(
        alone.tokens, forward(model, TOKENS, ones, zeros).tokens, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("build", [small_bert, small_decoder])
@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (np.array([1, 2]), ValueError, r"tokens\[None\]"),
        (np.ones((2, 3)), TypeError, "integer ids, found float"),
        (np.ones((1, 9), int), ValueError, r"tokens\[:, :8\]"),
        (np.array([[20]]), ValueError, r"ids 0 \.\.\. 19, found 20 \.\.\. 20"),
        (np.array([[-1]]), ValueError, r"found -1"),
    ],
)
def test_language_models_explain_bad_tokens(build, tokens, error, message):
    with pytest.raises(error, match=message):
        shapes(build)(tokens)


def test_models_explain_other_bad_input():
    with pytest.raises(ValueError, match=r"16 × 16 pixels, .* found 24 × 24"):
        shapes(small_vit)(jnp.ones((1, 24, 24, 3)))
    with pytest.raises(ValueError, match="channels come last"):
        shapes(small_vit)(jnp.ones((1, 3, 16, 16)))
    with pytest.raises(ValueError, match="patch must divide image = 20"):
        ViT(8, 1, 2, 3, image=20, patch=8, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"mask must have the shape of tokens, \(2, 4\)"):
        shapes(small_bert)(TOKENS, MASK[:, :3])
    for build in (BERT, Decoder):
        with pytest.raises(ValueError, match="heads must divide the width 8, found 3"):
            shapes(partial(build, 20, 8, 1, 3))
