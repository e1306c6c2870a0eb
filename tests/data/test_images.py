import numpy as np
import pytest
from PIL import Image

from jaxalign.data import image_folder, read_image
from jaxalign.data._images import crop_and_resize, efficientnet_lite_pixels, squeezenet_pixels


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, rng):
    """Two classes of two and three images, a hidden file, a text, a folder in a folder."""
    for name in ("dog/b.png", "dog/a.PNG", "cat/1/deep.png", "cat/x.bmp", "cat/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "dog/.hidden.png").write_bytes(b"")
    (tmp_path / "dog/notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / ".cache").mkdir()
    return tmp_path


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff"])
def test_pixels_come_back(tmp_path, pixels, ending):
    Image.fromarray(pixels).save(tmp_path / f"image.{ending}")
    np.testing.assert_array_equal(read_image(tmp_path / f"image.{ending}"), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_of_eight_bits_gives_three_channels(tmp_path, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "image.tiff")
    np.testing.assert_array_equal(
        read_image(tmp_path / "image.tiff"), np.asarray(image.convert("RGB"))
    )


def test_images_are_turned_as_the_camera_noted(tmp_path, pixels):
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # orientation: the first row is the right side
    image.save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "image.png"), np.rot90(pixels, -1))


def test_more_than_eight_bits_are_refused(tmp_path):
    Image.fromarray(np.full((4, 5), 40_000, np.uint16)).save(tmp_path / "image.png")
    with pytest.raises(
        ValueError, match=r"image\.png cannot be read: it has pixels of mode 'I;16', not of 8 bits"
    ):
        read_image(tmp_path / "image.png")


def test_files_that_are_no_whole_images(tmp_path, rng):
    with pytest.raises(FileNotFoundError, match="missing"):
        read_image(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.png is no image that Pillow knows"):
        read_image(tmp_path / "text.png")
    for ending in ("png", "jpg"):
        file = tmp_path / f"cut.{ending}"
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
        file.write_bytes(file.read_bytes()[:-2000])
        with pytest.raises(ValueError, match=rf"cut\.{ending} cannot be read: "):
            read_image(file)


def test_an_image_too_large_to_be_honest_is_refused(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match=r"cannot be read: .*54 pixels"):
        read_image(tmp_path / "image.png")


def test_a_folder_has_a_class_a_subfolder(folder):
    images = image_folder(folder)
    assert images.class_names == ("cat", "dog")
    assert [str(path.relative_to(folder)) for path in images.paths] == [
        "cat/1/deep.png",
        "cat/x.bmp",
        "cat/y.png",
        "dog/a.PNG",
        "dog/b.png",
    ]
    assert (len(images), images.labels.tolist(), images.labels.dtype) == (
        5,
        [0, 0, 0, 1, 1],
        np.int32,
    )


def test_batches_are_read_when_they_are_asked_for(folder):
    images = image_folder(folder)
    images.paths[-1].write_bytes(b"damaged")
    batches = images.batches(2)
    for rows in ([0, 1], [2, 3]):
        found, labels = next(batches)
        np.testing.assert_array_equal(found, [images[row] for row in rows])
        np.testing.assert_array_equal(labels, images.labels[rows])
    with pytest.raises(ValueError, match=r"b\.png is no image"):
        next(batches)
    with pytest.raises(ValueError, match="size must be at least 1, found 0"):
        next(images.batches(0))


def test_folders_that_hold_no_classes(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing is no folder"):
        image_folder(folder / "missing")
    with pytest.raises(ValueError, match="at least two subfolders, one per class, found 1"):
        image_folder(folder / "cat")
    (folder / "bird").mkdir()
    with pytest.raises(ValueError, match=r"the class .*bird has no image"):
        image_folder(folder)


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
