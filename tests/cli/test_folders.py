from pathlib import Path

from jaxalign.cli.folders import next_free_folder


def test_the_first_number_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert next_free_folder("train") == Path("runs/train-1")
    for name in ("train-1", "train-3", "inspect-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert next_free_folder("train") == Path("runs/train-2")
    assert next_free_folder("inspect") == Path("runs/inspect-1")
