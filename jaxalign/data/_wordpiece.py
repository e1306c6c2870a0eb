"""WordPiece: texts to the token ids of BERT and its relatives, from a vocabulary file."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""The tokens that a vocabulary must have: padding, unknown word, begin and end of a text."""

_MARKERS = re.compile(r"(\[(?:PAD|UNK|CLS|SEP|MASK)\])")
# Longer words become [UNK], as in the BERT code.
_LONGEST_WORD = 100
# Unicode blocks of CJK ideographs, each of which is a word of its own.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Tokens(NamedTuple):
    """A batch of texts as token ids.

    Attributes:
      ids: (n, t) int32; [CLS], the text's pieces, [SEP], then padding.
      mask: (n, t) booleans, False for padding.
    """

    ids: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class WordPiece:
    """A tokeniser, ``tokenizer(texts) -> Tokens``: words are cut into the longest known pieces.

    The ids equal those of the ``tokenizers`` library, except next to about 500 marks and signs that
    Unicode added after 2014.

    Attributes:
      vocabulary: token → id; pieces that are not first in their word begin with "##".
      lowercase: whether to remove case and accents, as the "uncased" models do.

    Raises:
      ValueError: a vocabulary without [PAD], [UNK], [CLS] or [SEP]; when called, no texts, or a
        length below 2.
      TypeError: when called with one string, or with something other than strings.

    Example:
      >>> from jaxalign.data import WordPiece
      >>> words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "align", "##ed", ",", "cafe")
      >>> tokenizer = WordPiece({word: i for i, word in enumerate(words)})
      >>> tokenizer.pieces("Aligned, café xyz")
      ['align', '##ed', ',', 'cafe', '[UNK]']
      >>> tokens = tokenizer(["Aligned", "café"])
      >>> tokens.ids.tolist(), tokens.mask.sum(axis=1).tolist()
      ([[2, 4, 5, 3], [2, 7, 3, 0]], [4, 3])

    Source: Devlin et al., BERT (NAACL 2019); Wu et al. (arXiv 1609.08144).
    """

    vocabulary: Mapping[str, int]
    lowercase: bool = True

    def __post_init__(self) -> None:
        missing = [token for token in SPECIAL if token not in self.vocabulary]
        if missing:
            raise ValueError(
                f"vocabulary must hold {', '.join(SPECIAL)}, found none of {', '.join(missing)}"
            )

    def __call__(self, texts: Sequence[str], length: int | None = None) -> Tokens:
        """Tokens (n, t) of n texts, cut or padded to ``length``; by default t is the longest."""
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, found one string; pass [text]")
        if len(texts) == 0:
            raise ValueError("texts must hold at least one string, found none")
        if length is not None and length < 2:
            raise ValueError(f"length must be at least 2, for [CLS] and [SEP], found {length}")
        rows = [self._ids(text, length) for text in texts]
        width = length or max(map(len, rows))
        ids = np.full((len(rows), width), self.vocabulary["[PAD]"], np.int32)
        mask = np.zeros(ids.shape, bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = True
        return Tokens(ids, mask)

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text, without [CLS] and [SEP]; "[MASK]" in a text stays one token."""
        if not isinstance(text, str):
            raise TypeError(f"texts must be strings, found {type(text).__name__}")
        pieces: list[str] = []
        for part in _MARKERS.split(text):
            if part in self.vocabulary and _MARKERS.fullmatch(part):
                pieces.append(part)
            else:
                for word in words(part, self.lowercase):
                    pieces.extend(self._cut(word))
        return pieces

    def _ids(self, text: str, length: int | None) -> list[int]:
        room = None
        if length is not None:
            # Two places are for [CLS] and [SEP].
            room = length - 2
        tokens = ("[CLS]", *self.pieces(text)[:room], "[SEP]")
        return [self.vocabulary[token] for token in tokens]

    def _cut(self, word: str) -> list[str]:
        """Greedy pieces: the longest one that the word begins with, then likewise the rest."""
        if len(word) > _LONGEST_WORD:
            return ["[UNK]"]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                if prefix + word[start:end] in self.vocabulary:
                    break
            else:
                # No piece fits: the whole word is unknown, also the pieces before.
                return ["[UNK]"]
            pieces.append(prefix + word[start:end])
            start = end
        return pieces


def read_wordpiece(path: str | Path, *, lowercase: bool = True) -> WordPiece:
    r"""The tokeniser of a ``vocab.txt``: one token per line; its id is the line number, from 0.

    Args:
      path: the file, UTF-8.
      lowercase: whether to remove case and accents, as the "uncased" models do.

    Returns:
      WordPiece.

    Raises:
      FileNotFoundError: no such file.
      ValueError: a file that is not UTF-8 text, names a token twice, or lacks [PAD], [UNK],
        [CLS] or [SEP].

    Example:
      >>> import tempfile
      >>> from jaxalign.data import read_wordpiece
      >>> with tempfile.NamedTemporaryFile() as file:
      ...     _ = file.write(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nhi\n"), file.flush()
      ...     read_wordpiece(file.name)(["Hi"]).ids.tolist()
      [[2, 4, 3]]

    Source: the vocabularies of BERT, Devlin et al. (NAACL 2019).
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a vocabulary: not UTF-8 text ({error})") from None
    # Not splitlines, which also splits at characters that occur inside tokens.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    vocabulary = {line: i for i, line in enumerate(lines)}
    if len(vocabulary) < len(lines):
        repeated = len(lines) - len(vocabulary)
        raise ValueError(
            f"{path} is not a vocabulary: it names {repeated} of {len(lines)} tokens twice"
        )
    try:
        return WordPiece(vocabulary, lowercase)
    except ValueError as error:
        raise ValueError(f"{path} is not a vocabulary of WordPiece: {error}") from None


def words(text: str, lowercase: bool) -> list[str]:
    """The words of a text as in BERT: no control characters; punctuation and ideographs apart."""
    text = "".join(_clean(c) for c in text)
    if lowercase:
        # NFD splits letters from their accents, which are of category Mn.
        decomposed = unicodedata.normalize("NFD", text)
        # Character by character: str.lower of a text gives a different sigma at the end of words.
        text = "".join(c.lower() for c in decomposed if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if _stands_alone(c) else c for c in text).split()


def _clean(c: str) -> str:
    """A space for whitespace, nothing for invisible characters, else the character."""
    category = unicodedata.category(c)
    if c in "\t\n\r" or category.startswith("Z"):
        return " "
    if c == "\ufffd" or category in ("Cc", "Cf", "Co", "Cs"):
        return ""
    return c


def _stands_alone(c: str) -> bool:
    return (
        unicodedata.category(c).startswith("P")
        or c in "$+<=>^`|~"
        or any(first <= ord(c) <= last for first, last in _IDEOGRAPHS)
    )
