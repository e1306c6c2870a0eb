import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxalign.data import read_image
from jaxalign.data._image_files import image_endings


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)


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
    message = r"image\.png cannot be read: it has pixels of mode 'I(;16)?', not of 8 bits"
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "image.png")


def test_files_that_are_no_whole_images(tmp_path, rng):
    with pytest.raises(FileNotFoundError, match="missing"):
        read_image(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.png is not an image that Pillow knows"):
        read_image(tmp_path / "text.png")
    for ending in ("png", "jpg"):
        file = tmp_path / f"cut.{ending}"
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
        file.write_bytes(file.read_bytes()[:-2000])
        with pytest.raises(ValueError, match=rf"cut\.{ending} cannot be read: "):
            read_image(file)


def test_an_image_over_the_limit_is_refused_and_the_limit_can_be_raised(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match=r"unpacks to 162 bytes, more than max_bytes=161; raise"):
        read_image(tmp_path / "image.png", max_bytes=161)
    assert read_image(tmp_path / "image.png", max_bytes=162).shape == pixels.shape


def test_pillow_s_own_limit_is_not_asked_and_left_as_it_was(tmp_path, pixels, monkeypatch):
    # Pillow warns over its limit, and refuses twice as much whatever the caller allows.
    for limit in (20, 40):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        Image.fromarray(pixels).save(tmp_path / "image.png")
        np.testing.assert_array_equal(read_image(tmp_path / "image.png"), pixels)
        assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.slow
@pytest.mark.parametrize("side", [10_000, 14_000])
def test_megapixels_are_refused_before_they_are_decoded(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match="raise that if the file can be trusted"):
        read_image(tmp_path / "image.png")


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_that_of_pillow(tmp_path, pixels, turn):
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = turn
    for ending in ("png", "tiff"):
        image.save(tmp_path / f"image.{ending}", exif=exif)
        with Image.open(tmp_path / f"image.{ending}") as saved:
            expected = np.asarray(ImageOps.exif_transpose(saved))
        np.testing.assert_array_equal(read_image(tmp_path / f"image.{ending}"), expected)


def damaged_exif(cut: int) -> bytes:
    """Metadata with an orientation, cut, or with a rational number of no bytes."""
    exif = Image.Exif()
    exif[0x0112] = 1
    exif[0x011A] = 72.0
    exif[0x8769] = {0x9003: "2020:01:01"}
    return exif.tobytes()[:cut]


@pytest.mark.filterwarnings("ignore:.*EXIF")
@pytest.mark.parametrize("cut", range(6, 60, 3))
def test_damaged_metadata_are_no_fault_of_a_good_picture(tmp_path, pixels, cut):
    Image.fromarray(pixels).save(tmp_path / "image.png", exif=damaged_exif(cut))
    np.testing.assert_array_equal(read_image(tmp_path / "image.png"), pixels)


def test_whatever_a_decoder_raises_names_the_file(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "image.png")

    def fail(image, mode):
        raise ZeroDivisionError

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(ValueError, match=r"image\.png cannot be read: ZeroDivisionError"):
        read_image(tmp_path / "image.png")


def test_programs_for_printers_are_not_run(tmp_path):
    (tmp_path / "page.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ValueError, match="not an image that Pillow knows"):
        read_image(tmp_path / "page.eps")
    assert not {".eps", ".pdf", ".h5"} & image_endings()
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".gif"} <= image_endings()


def test_what_is_no_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FileNotFoundError, match="there is no file at"):
        read_image(tmp_path / "pipe.png")
