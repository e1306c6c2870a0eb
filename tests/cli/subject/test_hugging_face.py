"""A folder of Hugging Face's as the model of commands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxalign as ja
from jaxalign.cli.compare.options import Compare, SideOptions
from jaxalign.cli.compare.runs import is_run
from jaxalign.cli.compare.sides import load_sides
from jaxalign.cli.inspect.layers import with_inputs
from jaxalign.cli.inspect.options import Inspect, Layers
from jaxalign.cli.main import main
from jaxalign.cli.subject.subject import load_subject
from jaxalign.inspection import inspect
from jaxalign.models.weights import hugging_face

DATA = Path(__file__).parents[2] / "models" / "data" / "hugging_face"


def test_layers_are_listed_for_what_the_model_takes(capsys):
    assert main(["layers", str(DATA / "bert")]) == 0
    printed = capsys.readouterr().out
    assert "bert: inputs (n, 10) int32" in printed
    assert "bert.encoder.layer.1  10×8" in printed
    assert with_inputs(Layers(model=str(DATA / "vit"))).shape == (8, 8, 3)


def test_images_are_prepared_as_the_folder_says(tmp_path):
    folder = tmp_path / "vit"
    shutil.copytree(DATA / "vit", folder)
    settings = {"image_processor_type": "ViTImageProcessor", "size": 8, "image_std": [1, 1, 1]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    rng = np.random.default_rng(0)
    for i in range(6):
        place = tmp_path / "photos" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20, 30 + i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{i}.png")
    options = {"model": str(folder), "data": str(tmp_path / "photos")}
    subject = load_subject(Inspect(**options))
    assert subject.input_shape.shape == (2, 8, 8, 3)
    assert subject.loaded.name == "vit"
    assert subject.loaded.layers[-1] == "encoder.ln"
    with pytest.raises(ValueError, match=r"--size would change nothing: .*prepares images itself"):
        load_subject(Inspect(**options, size=16))
    with pytest.raises(ValueError, match="--checkpoint is not read"):
        load_subject(Inspect(**options, checkpoint=folder))


def test_a_comparison_tells_such_folders_from_runs(tmp_path):
    assert not is_run(str(DATA / "vit"))
    (tmp_path / "config.json").write_text('{"title": "a run"}')
    assert is_run(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "has no config.json"), ({"status": "finished"}, "known, bert")],
)
def test_a_folder_that_holds_no_model_is_refused(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(json.dumps(content))
    assert main(["layers", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_a_run_is_not_taken_for_a_folder_of_a_model(tmp_path, capsys):
    (tmp_path / "history.jsonl").touch()
    (tmp_path / "config.json").write_text('{"measured": {}}')
    assert main(["layers", str(tmp_path)]) == 1
    assert "is a run, and a model is needed" in capsys.readouterr().err


def padded_texts():
    """Tokens of six texts, three of 8 tokens and three of 4 and padding 0, with a label each."""
    tokens = np.random.default_rng(1).integers(1, 20, (6, 8)).astype(np.int32)
    tokens[3:, 4:] = 0
    return tokens, np.array(list("abaabb"))


@pytest.mark.slow
@pytest.mark.parametrize("reduce", ["mean", "samples", "flatten"])
def test_padding_leaves_no_trace_in_an_inspection(tmp_path, reduce):
    tokens, labels = padded_texts()
    np.savez(tmp_path / "texts.npz", x=tokens, y=labels)
    layer = "bert.encoder.layer.1"
    options = Inspect(
        model=str(DATA / "bert"), data=str(tmp_path / "texts.npz"), layers=(layer,), reduce=reduce
    )
    subject = load_subject(options)
    targets = subject.examples.targets
    state = subject.loaded.state
    inspection = inspect(
        subject.tap, state, [(tokens, targets)], mask=subject.loaded.mask, reduce=reduce
    )
    rows, expected = [], []
    for texts, y in ((tokens[:3], targets[:3]), (tokens[3:, :4], targets[3:])):
        values = np.asarray(subject.tap(state, texts)[1][layer])
        if reduce == "flatten":
            values = np.pad(values, ((0, 0), (0, 8 - values.shape[1]), (0, 0)))
        rows.append(ja.prepare(values, reduce=reduce))
        expected.append(np.repeat(y, len(rows[-1]) // len(y), axis=0))
    alone = ja.spectrum(np.concatenate(rows), np.concatenate(expected))
    together = inspection.spectra[layer]
    rank = int(alone.rank)
    for name in ("singular_values", "energy", "total"):
        found = getattr(together, name)[:rank]
        np.testing.assert_allclose(found, getattr(alone, name)[:rank], rtol=1e-3, atol=1e-4)
    assert int(together.num_samples) == int(alone.num_samples)
    with pytest.raises(TypeError, match="mask must be"):
        inspect(subject.tap, state, [(tokens, targets)], mask=tokens > 0)


@pytest.mark.slow
def test_padding_leaves_no_trace_in_a_comparison(tmp_path):
    tokens, labels = padded_texts()
    data = str(tmp_path / "texts.npz")
    np.savez(data, x=tokens, y=labels)
    layer = "bert.encoder.layer.1"
    side = SideOptions(model=str(DATA / "bert"), layers=(layer,))
    sides = load_sides(Compare(a=side, b=side, data=data))
    subject = load_subject(Inspect(model=side.model, data=data, layers=(layer,)))
    inspection = inspect(
        subject.tap,
        subject.loaded.state,
        [(tokens, subject.examples.targets)],
        mask=subject.loaded.mask,
    )
    rows = ja.prepare(sides.first.matrix(layer))
    alone = ja.spectrum(rows, subject.examples.targets)
    found = inspection.spectra[layer].singular_values[:6]
    np.testing.assert_allclose(found, alone.singular_values, atol=1e-4)
    assert any("padding" in note for note in sides.notes)


def test_padding_is_that_of_the_config_and_a_text_has_to_have_a_token(tmp_path):
    tokens, labels = padded_texts()
    tokens[2] = 0
    np.savez(tmp_path / "texts.npz", x=tokens, y=labels)
    folder = tmp_path / "bert"
    shutil.copytree(DATA / "bert", folder)
    options = Inspect(model=str(folder), data=str(tmp_path / "texts.npz"))
    with pytest.raises(ValueError, match=r"row 2 of .* is nothing but padding, tokens 0"):
        load_subject(options)
    settings = json.loads((folder / "config.json").read_text())
    for padding in (None, 19):
        (folder / "config.json").write_text(json.dumps(settings | {"pad_token_id": padding}))
        loaded = load_subject(options).loaded
        assert loaded.padding == loaded.model.bert.padding == padding
        # As transformers', the model in a folder masks nothing by itself.
        assert hugging_face(folder).model.bert.padding is None
        assert (loaded.mask is None) == (padding is None)
    (folder / "config.json").write_text(json.dumps(settings | {"pad_token_id": -1}))
    with pytest.raises(ValueError, match="pad_token_id must be an integer from 0 on, or null"):
        load_subject(options)
