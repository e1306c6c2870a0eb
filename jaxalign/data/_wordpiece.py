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
_LONGEST_WORD = 100
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
    """A tokeniser: ``tokenizer(texts) -> Tokens``. Words are cut into the longest pieces that the
    vocabulary has.

    The ids are those of the ``tokenizers`` library, except next to some 500 marks and signs that
    Unicode has since 2014.

    Attributes:
      vocabulary: token → id; "##" begins the pieces that are not first in their word.
      lowercase: whether letters lose case and accents, as for the "uncased" models.

    Raises:
      ValueError: a vocabulary without one of the tokens in ``SPECIAL``; when called, no texts, or a
        length under 2.
      TypeError: when called with one string, or with what are no strings.

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
        """Tokens of n texts: (n, t) of the longest text's t, or of ``length``, to which every text
        is cut or padded.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, found one string; pass [text]")
        if len(texts) == 0:
            raise ValueError("texts must hold at least one string, found none")
        if length is not None and length < 2:
            raise ValueError(f"length must be at least 2, for [CLS] and [SEP], found {length}")
        begin, end = self.vocabulary["[CLS]"], self.vocabulary["[SEP]"]
        room = None if length is None else length - 2
        rows = [
            [begin, *(self.vocabulary[piece] for piece in self.pieces(text)[:room]), end]
            for text in texts
        ]
        ids = np.full(
            (len(rows), length or max(map(len, rows))), self.vocabulary["[PAD]"], np.int32
        )
        mask = np.zeros(ids.shape, bool)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = True
        return Tokens(ids, mask)

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text, without [CLS] and [SEP]; [MASK] and its like are taken for the
        tokens they name.
        """
        if not isinstance(text, str):
            raise TypeError(f"texts must be strings, found {type(text).__name__}")
        found: list[str] = []
        for part in _MARKERS.split(text):
            if part in self.vocabulary and _MARKERS.fullmatch(part):
                found.append(part)
            else:
                found.extend(
                    piece for word in words(part, self.lowercase) for piece in self._cut(word)
                )
        return found

    def _cut(self, word: str) -> list[str]:
        """The longest piece that the word begins with, then that of the rest, ...; one [UNK] where
        there is none.
        """
        found: list[str] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            prefix = "##" if start else ""
            ends = (
                end
                for end in range(len(word), start, -1)
                if prefix + word[start:end] in self.vocabulary
            )
            end = next(ends, None)
            if end is None:
                return ["[UNK]"]
            found.append(prefix + word[start:end])
            start = end
        return found or ["[UNK]"]


def read_wordpiece(path: str | Path, *, lowercase: bool = True) -> WordPiece:
    r"""The tokeniser of a ``vocab.txt``: one token a line, its id the number of the line, from 0.

    Args:
      path: the file, UTF-8.
      lowercase: whether letters lose case and accents, as for the "uncased" models.

    Raises:
      FileNotFoundError: no such file.
      ValueError: a file that is not UTF-8 text, names a token twice, or lacks one of the tokens in
        ``SPECIAL``.

    Example:
      >>> import tempfile
      >>> from jaxalign.data import read_wordpiece
      >>> with tempfile.NamedTemporaryFile() as file:
      ...     _ = file.write(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nhi\n"), file.flush()
      ...     read_wordpiece(file.name)(["Hi"]).ids.tolist()
      [[2, 4, 3]]

    Source: ours.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no vocabulary: not UTF-8 text ({error})") from None
    # Not splitlines, which also splits at characters that tokens are made of.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    vocabulary = {line: i for i, line in enumerate(lines)}
    if len(vocabulary) < len(lines):
        raise ValueError(
            f"{path} is no vocabulary: it names {len(lines) - len(vocabulary)} of {len(lines)} tokens twice"
        )
    try:
        return WordPiece(vocabulary, lowercase)
    except ValueError as error:
        raise ValueError(f"{path} is no vocabulary of WordPiece: {error}") from None


def words(text: str, lowercase: bool) -> list[str]:
    """The words of a text as BERT has them: control characters dropped, punctuation marks and
    ideographs words of their own.
    """
    text = "".join(_clean(c) for c in text)
    if lowercase:
        apart = unicodedata.normalize("NFD", text)
        # One character after another, as str.lower has another sigma at the end of words.
        text = "".join(c.lower() for c in apart if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if _stands_alone(c) else c for c in text).split()


def _clean(c: str) -> str:
    """A space for whitespace, nothing for what cannot be seen, else the character."""
    category = unicodedata.category(c)
    if c in "\t\n\r" or category.startswith("Z"):
        return " "
    return "" if category in ("Cc", "Cf", "Co", "Cs") or c == "\ufffd" else c


def _stands_alone(c: str) -> bool:
    return (
        unicodedata.category(c).startswith("P")
        or c in "$+<=>^`|~"
        or any(first <= ord(c) <= last for first, last in _IDEOGRAPHS)
    )
