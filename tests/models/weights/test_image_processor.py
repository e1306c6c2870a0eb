"""preprocessor_config.json, against Pillow by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxalign.models.weights._hugging_face.image_processor import image_processor

VIT = {"image_processor_type": "ViTImageProcessor"}
CONVNEXT = {"feature_extractor_type": "ConvNextFeatureExtractor"}


@pytest.fixture
def processor(tmp_path):
    """``processor(settings)``: of a file with these."""

    def read(settings):
        file = tmp_path / "preprocessor_config.json"
        file.write_text(json.dumps(settings))
        return image_processor(file)

    return read


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def resized(image, rows, columns, resampling):
    return np.asarray(Image.fromarray(image).resize((columns, rows), resampling), np.float32)


@pytest.mark.parametrize("size", [16, {"height": 16, "width": 16}])
def test_images_are_scaled_without_their_aspect_and_normalized(processor, image, size):
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    pixels = processor(VIT | {"size": size, "image_mean": mean, "image_std": std})([image])
    expected = (resized(image, 16, 16, Image.Resampling.BILINEAR) / 255 - mean) / std
    np.testing.assert_allclose(pixels[0], expected, rtol=1e-5, atol=1e-5)
    assert pixels.dtype == np.float32


@pytest.mark.parametrize("size", [16, {"shortest_edge": 16}])
def test_small_sizes_of_convnext_are_the_middle_of_a_larger_one(processor, image, size):
    pixels = processor(CONVNEXT | {"size": size, "crop_pct": 0.8, "do_normalize": False})([image])
    expected = resized(image, 20, 26, Image.Resampling.BICUBIC)[2:18, 5:21] / 255
    np.testing.assert_allclose(pixels[0], expected, rtol=1e-5)
    assert processor(CONVNEXT)([image]).shape == (1, 384, 384, 3)


def test_the_shorter_side_and_the_crop(processor, image):
    settings = {"size": {"shortest_edge": 15}, "do_center_crop": True, "crop_size": 12}
    raw = {"do_rescale": False, "do_normalize": False, "resample": 0}
    pixels = processor(VIT | settings | raw)([image, image.transpose(1, 0, 2)])
    expected = resized(image, 15, 20, Image.Resampling.NEAREST)[1:13, 4:16]
    np.testing.assert_array_equal(pixels[0], expected)
    assert pixels.shape == (2, 12, 12, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "image_processor_type must be ViTImageProcessor or ConvNext"),
        ({"image_processor_type": "CLIPImageProcessor"}, "found 'CLIPImageProcessor'"),
        (VIT | {"do_pad": True}, "do_pad must be false"),
        (VIT | {"size": {"longest_edge": 9}}, "size must be a number, height and width, or short"),
        (VIT | {"size": 0}, "size must be a positive integer"),
        (VIT | {"resample": 9}, "resample must be a number of Pillow's"),
        (VIT | {"image_std": [1, 0, 1]}, "image_std must be three numbers other than 0"),
        (VIT | {"image_mean": [1, 2]}, "image_mean must be three numbers"),
    ],
)
def test_steps_that_are_not_known_are_refused(processor, settings, message):
    with pytest.raises(ValueError, match=message):
        processor(settings)


def test_images_that_are_too_small_for_the_crop_are_refused(processor, image):
    settings = {"do_resize": False, "do_center_crop": True, "crop_size": 32}
    with pytest.raises(ValueError, match="must have at least 32 × 32 pixels, found 30 × 40"):
        processor(VIT | settings)([image])
