"""A folder of Hugging Face's as the model of commands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxalign.cli.compare.runs import is_run
from jaxalign.cli.inspect.layers import with_inputs
from jaxalign.cli.inspect.options import Inspect, Layers
from jaxalign.cli.main import main
from jaxalign.cli.subject.subject import load_subject

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
