"""Where commands keep compiled programs."""

import os
from pathlib import Path

import pytest

from jaxalign.cli.compilation_cache import use_compilation_cache

WHERE = "JAX_COMPILATION_CACHE_DIR"
FROM = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    """As a user's environment, with caches in the test's own folder."""
    # Set first, so that what the call sets is taken back after the test.
    monkeypatch.setenv(WHERE, "")
    monkeypatch.delenv(WHERE)
    monkeypatch.setenv(FROM, "0")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_it_is_a_folder_of_the_user_for_this_kind_of_processor(tmp_path):
    use_compilation_cache()
    folder = Path(os.environ[WHERE])
    assert folder.is_dir()
    assert folder.parent == tmp_path / "jaxalign"
    assert os.environ[FROM] == "0"


@pytest.mark.parametrize("value", ["", "/elsewhere"])
def test_the_environment_of_the_user_counts(monkeypatch, tmp_path, value):
    """An empty name is jax's way to keep nothing."""
    monkeypatch.setenv(WHERE, value)
    use_compilation_cache()
    assert os.environ[WHERE] == value
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    use_compilation_cache()
    assert WHERE not in os.environ
