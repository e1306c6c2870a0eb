import json

import pytest

from jaxalign.cli.main import main


@pytest.mark.slow
def test_benchmark_prints_a_table_and_keeps_numbers_and_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jaxalign.benchmark.race.ROUNDS", (3, 3))
    monkeypatch.setenv("COLUMNS", "80")
    command = [
        "benchmark",
        "--shapes",
        "40x5",
        "2x40x5",
        "--seconds",
        "0",
        "--cores",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "2×40×5" in printed
    assert "…" not in printed  # nothing cut off
    content = json.loads((tmp_path / "cpu-throughput.json").read_text())
    assert [r["shape"] for r in content["results"]] == ["40×5", "2×40×5"]
    for result in content["results"]:
        assert result["solvers"]["jaxalign"]["errors"]["curve"] < 1e-6
        assert result["solvers"]["numpy svd"]["speedup"] == 1
    assert (tmp_path / "cpu-throughput.png").stat().st_size > 10_000


@pytest.mark.slow
def test_an_interrupted_benchmark_says_so(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxalign.cli.benchmark.command.race", interrupt)
    assert main(["benchmark", "--out", str(tmp_path)]) == 130
    assert "Interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (["--shapes", "12"], "a shape is written as 1000x129"),
        (["--shapes", "3x12"], "exchange the two"),
        (["--shapes"], "at least one shape"),
        (["--cores", "999"], "--cores must be from 1 to"),
    ],
)
def test_a_bad_benchmark_is_refused_before_it_starts(choice, told, tmp_path, capsys):
    assert main(["benchmark", *choice, "--out", str(tmp_path / "new")]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_place_that_is_a_file_and_no_time_are_refused_before_it_starts(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["benchmark", "--out", str(tmp_path / "file")]) == 1
    assert "file is a file; name another one" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["benchmark", "--seconds", "nan"])
    assert "seconds must be finite and not negative" in capsys.readouterr().err
