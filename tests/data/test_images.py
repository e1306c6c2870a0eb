import numpy as np
import pytest

from jaxalign.data._images import crop_and_resize, efficientnet_lite_pixels, squeezenet_pixels


@pytest.mark.parametrize("shape", [(50, 80, 3), (80, 50, 3), (51, 51, 3)])
def test_the_crop_is_the_middle_square(shape):
    image = np.zeros(shape, np.uint8)
    side = round(0.5 * min(shape[:2]))
    top, left = ((length - side + 1) // 2 for length in shape[:2])
    image[top : top + side, left : left + side] = 255
    assert (crop_and_resize(image, 16, share=0.5) == 255).all()
    assert (crop_and_resize(image, 16, share=0.6) < 255).any()


def test_a_flipped_image_gives_flipped_pixels(rng):
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    plain, flipped = (
        efficientnet_lite_pixels([x], 32)[0] for x in (image, np.ascontiguousarray(image[:, ::-1]))
    )
    np.testing.assert_allclose(flipped[:, ::-1], plain, atol=1.5 / 128)


def test_ranges_and_channels_are_those_of_training():
    red = np.zeros((300, 400, 3), np.uint8)
    red[..., 0] = 255
    lite, squeeze = efficientnet_lite_pixels([red, red], 224), squeezenet_pixels([red])
    assert (lite.shape, lite.dtype, squeeze.shape, squeeze.dtype) == (
        (2, 224, 224, 3),
        np.float32,
        (1, 227, 227, 3),
        np.float32,
    )
    np.testing.assert_allclose(lite[0, 5, 7], [1, -127 / 128, -127 / 128])
    np.testing.assert_allclose(squeeze[0, 5, 7], [-103.939, -116.779, 255 - 123.68], rtol=1e-6)


@pytest.mark.parametrize(
    "preprocess", [lambda images: efficientnet_lite_pixels(images, 224), squeezenet_pixels]
)
@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (
            np.zeros((8, 8, 3), np.float32),
            TypeError,
            "uint8, 0 to 255, found float32; scale and round",
        ),
        ([[[0, 0, 0]]], TypeError, "found list"),
        (np.zeros((8, 8), np.uint8), ValueError, r"must be \(h, w, 3\), red first, found \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r"found \(8, 8, 4\)"),
        (np.zeros((3, 8, 8), np.uint8), ValueError, r"found \(3, 8, 8\)"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r"found \(0, 8, 3\)"),
    ],
)
def test_what_is_no_image_is_refused(preprocess, image, error, message):
    with pytest.raises(error, match=message):
        preprocess([image])


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="at least one image, found none"):
        squeezenet_pixels([])
