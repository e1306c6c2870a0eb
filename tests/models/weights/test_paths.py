"""What a path may be, wherever one is given. Nothing hangs, and only files are opened."""

import os
import socket
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jaxalign.models.weights import pretrained, read


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def bound_socket(folder):
    here = Path.cwd()
    os.chdir(folder)  # a socket's path may not be long
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("socket")
    finally:
        os.chdir(here)
    return folder / "socket"


def circle(folder):
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


def dangling(folder):
    (folder / "link").symlink_to("nowhere")
    return folder / "link"


def under_a_file(folder):
    (folder / "file").write_bytes(b"")
    return folder / "file" / "weights"


def link_to_a_pipe(folder):
    (folder / "model.safetensors").symlink_to(pipe(folder))
    return folder


def two_files(folder):
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(b"")
    return folder


REFUSED = {
    pipe: "is a pipe; path must be a file",
    bound_socket: "is a socket",
    lambda folder: Path("/dev/zero"): "/dev/zero is a device",
    circle: "a cannot be read: Too many levels of symbolic links",
    lambda folder: folder / ("x" * 300): "cannot be read: File name too long",
    lambda folder: "weights\0.npz": "cannot be read: .*embedded null",
    link_to_a_pipe: "model.safetensors is a pipe",
    two_files: "with the weights a.safetensors, b.safetensors; path must be one of them",
    lambda folder: folder: "is a folder of nothing",
}
MISSING = [dangling, under_a_file, lambda folder: folder / "missing"]


def by_read(path):
    return read(path)


def by_pretrained(path):
    return pretrained("squeezenet1.1", path)


@pytest.mark.parametrize("load", [by_read, by_pretrained])
@pytest.mark.parametrize(("make", "message"), REFUSED.items())
def test_what_is_no_file_is_refused_by_name(tmp_path, within, load, make, message):
    path = make(tmp_path)
    with within(5), pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize("load", [by_read, by_pretrained])
@pytest.mark.parametrize("make", MISSING)
def test_what_is_missing_is_named(tmp_path, load, make):
    path = make(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"there is no checkpoint at {path}"):
        load(path)


@pytest.mark.parametrize("path", [None, 3, b"weights", {"w": np.ones(1)}, ["weights"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="path must be a str or a Path, found "):
        read(path)


def test_links_are_followed(tmp_path):
    with (tmp_path / "blob").open("wb") as file:
        np.savez(file, w=np.ones(2, ml_dtypes.bfloat16))
    (tmp_path / "weights.npz").symlink_to("blob")
    assert read(tmp_path / "weights.npz")["w"].tolist() == [1, 1]
    (tmp_path / "folder").symlink_to(".")
    assert read(tmp_path / "folder" / "weights.npz")["w"].dtype == ml_dtypes.bfloat16
