"""Run folders that were damaged: whoever reads them or goes on with them is told the file."""

import json
import shutil
from collections import OrderedDict

import numpy as np
import pytest

import jaxalign as ja
from jaxalign.runs import read_config, read_result
from jaxalign.runs._place import local_folder

CONFIG = {"note": "test"}


def part(begin, end, models=None):
    """Rows of a run of two layers, measured at every second step."""
    rng = np.random.default_rng(begin)
    step = np.arange(begin, end)
    measured = step[step % 2 == 0]
    axis = () if models is None else (models,)

    def values(length, *shape):
        return rng.standard_normal((length, *axis, *shape)).astype(np.float32)

    layers = OrderedDict(
        (name, OrderedDict(area=values(len(measured)), curve=values(len(measured), 5)))
        for name in ("one", "two")
    )
    loss = values(len(step))
    totals = {"one": 3.0, "two": 3.0}
    return ja.History(step, measured, loss, {"accuracy": loss}, layers, {}, totals)


@pytest.fixture(scope="module", params=[None, 2], ids=["one model", "two models"])
def whole(request, tmp_path_factory):
    """(folder, models) of a run of 12 rows, which no test changes."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    writer = ja.RunWriter(folder, CONFIG)
    writer.write(part(0, 6, request.param))
    writer.write(part(6, 12, request.param))
    writer.finish({"status": "finished"})
    return folder, request.param


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "run")


def change_row(number, change):
    def damage(folder):
        file = folder / "history.jsonl"
        lines = file.read_bytes().split(b"\n")
        lines[number] = change(lines[number])
        file.write_bytes(b"\n".join(lines))

    return damage


def edit_row(number, edit):
    def change(line):
        row = json.loads(line)
        edit(row)
        return json.dumps(row).encode()

    return change_row(number, change)


def edit_config(edit):
    def damage(folder):
        content = json.loads((folder / "config.json").read_text())
        edit(content["measured"])
        (folder / "config.json").write_text(json.dumps(content))

    return damage


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def cut_config(folder):
    raw = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(raw[: len(raw) // 2])


def drop_line(folder):
    file = folder / "history.jsonl"
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join(lines[:4] + lines[5:]))


def cut_array(count):
    def damage(folder):
        raw = (folder / "curve.npy").read_bytes()
        (folder / "curve.npy").write_bytes(raw[:count])

    return damage


def save_array(change):
    def damage(folder):
        np.save(folder / "curve.npy", change(np.load(folder / "curve.npy")))

    return damage


DAMAGE = {
    "config empty": (write("config.json", b""), "config.json is damaged or empty"),
    "config cut": (cut_config, "config.json is damaged"),
    "config zeros": (write("config.json", b"\0" * 100), "config.json is damaged"),
    "config no object": (write("config.json", b"[1, 2]"), "config.json must hold a JSON object"),
    "config foreign": (write("config.json", b'{"name": "x"}'), "config.json does not say"),
    "config no text": (write("config.json", b"\xff\xfe\x00"), "config.json is damaged"),
    "config half": (edit_config(lambda m: m.pop("totals")), "config.json does not say in full"),
    "config without cadence": (edit_config(lambda m: m.pop("array_every")), "does not say in full"),
    "config other": (edit_config(lambda m: m["arrays"].update(x=3)), "config.json does not say"),
    "line cut": (change_row(3, lambda line: line[:20]), "line 4 of .*jsonl is damaged"),
    "line empty": (change_row(3, lambda line: b""), "line 4 of .*jsonl is damaged"),
    "line zeros": (change_row(3, lambda line: b"\0" * len(line)), "line 4 of .*jsonl is damaged"),
    "line no text": (change_row(3, lambda line: b"\xff" + line), "line 4 of .*jsonl is damaged"),
    "line joined": (change_row(3, lambda line: line + line), "line 4 of .*jsonl is damaged"),
    "line a number": (change_row(3, lambda line: b"7"), "line 4 of .*jsonl is not a row"),
    "line foreign": (change_row(3, lambda line: b'{"step": 3}'), "line 4 of .* must have"),
    "line dropped": (drop_line, "line 5 of .* must be step 4, found 5"),
    "line without loss": (edit_row(3, lambda row: row.pop("loss")), "line 4 of .* must have"),
    "loss a text": (edit_row(3, lambda row: row.update(loss="high")), "line 4 .* not numbers"),
    "loss a list": (edit_row(3, lambda row: row.update(loss=[1, 2, 3])), "line 4 .* not numbers"),
    "loss an object": (edit_row(3, lambda row: row.update(loss={})), "line 4 .* not numbers"),
    "mark dropped": (edit_row(4, lambda row: row.pop("measured")), "measured rows at every"),
    "mark added": (edit_row(5, lambda row: row.update(measured=True)), "measured rows at every"),
    "column added": (edit_row(4, lambda row: row.update(layers={})), "line 5 of .* must have"),
    "array deleted": (lambda folder: (folder / "curve.npy").unlink(), "curve.npy must hold 6 rows"),
    "array empty": (write("curve.npy", b""), "curve.npy must hold 6 rows"),
    "array cut in its header": (cut_array(60), "curve.npy must hold 6 rows"),
    "array cut in a row": (cut_array(-10), "curve.npy must hold 6 rows"),
    "array short": (save_array(lambda x: x[:4]), "curve.npy must hold 6 rows, found 4"),
    "array other shape": (save_array(lambda x: x[:, :1]), "curve.npy must hold float32 with axes"),
    "array other dtype": (save_array(lambda x: x.astype(float)), "curve.npy must hold float32"),
    "array a text": (write("curve.npy", b"hello"), "curve.npy must hold 6 rows"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_told_before_anything_is_trained(run, damage, message):
    damage(run)
    before = {file: file.read_bytes() for file in run.rglob("*")}
    for read in (ja.read_history, lambda folder: ja.RunWriter(folder, CONFIG, resume=True)):
        with pytest.raises(ValueError, match=message):
            read(run)
    assert before == {file: file.read_bytes() for file in run.rglob("*")}


def test_what_a_killed_process_leaves_is_no_damage(run, whole):
    """Arrays ahead of the rows, a torn row, rows behind, the parts of files that were replaced."""
    rows = (run / "history.jsonl").read_bytes()
    expected = {file: (run / file).read_bytes() for file in ("history.jsonl", "curve.npy")}
    for size in (len(rows) - 5, rows.index(b"\n") + 1, 10, 0, None):
        (run / "history.jsonl.partial").write_bytes(b"half")
        if size is None:
            (run / "history.jsonl").unlink()
        else:
            (run / "history.jsonl").write_bytes(rows[:size])
        count = rows[: size or 0].count(b"\n")
        assert len(ja.read_history(run).step) == count
        writer = ja.RunWriter(run, CONFIG, resume=True)
        assert writer.rows == count
        if count >= 6:
            writer.write(part(6, 12, whole[1]))
        else:
            writer.write(part(0, 6, whole[1]))
            # Not finished any more.
            assert read_result(run) == {}
            writer.write(part(6, 12, whole[1]))
        writer.finish({"status": "finished"})
        assert expected == {file: (run / file).read_bytes() for file in expected}


def test_a_run_is_not_called_finished_before_it_was_read_back(run, whole):
    for damage in (cut_array(-10), drop_line, lambda folder: (folder / "curve.npy").unlink()):
        folder = shutil.copytree(run, run.with_name("copy"))
        writer = ja.RunWriter(folder, CONFIG, resume=True)
        writer.write(part(6, 12, whole[1]))
        damage(folder)
        with pytest.raises(ValueError, match=r"must (hold|be)"):
            writer.finish({"status": "finished"})
        assert read_result(folder) == {}
        shutil.rmtree(folder)


def test_rows_of_somebody_else_stop_a_writer(run, whole):
    """Where locks are of no use, as between hosts, nothing is mixed."""
    first = ja.RunWriter(run, CONFIG, resume=True)
    first.write(part(6, 8, whole[1]))
    second = ja.RunWriter(run, CONFIG, resume=True)
    second.write(part(6, 12, whole[1]))
    with pytest.raises(OSError, match="another process writes into the folder"):
        first.write(part(8, 12, whole[1]))
    second.finish({"status": "finished"})
    assert len(ja.read_history(run).step) == 12


def test_a_run_does_not_begin_in_the_middle(tmp_path):
    with pytest.raises(ValueError, match="must hold the 6 rows before step 6 to go on"):
        ja.RunWriter(tmp_path / "run", CONFIG).write(part(6, 12))
    assert not (tmp_path / "run").exists()


def test_arrays_of_no_run_are_not_appended_to(tmp_path):
    np.save(tmp_path / "curve.npy", np.ones((3, 2, 5), np.float32))
    with pytest.raises(FileExistsError, match=r"holds curve.npy of no run"):
        ja.RunWriter(tmp_path, CONFIG).write(part(0, 6))
    assert np.load(tmp_path / "curve.npy").shape == (3, 2, 5)


def test_a_damaged_result_names_its_file(run):
    (run / "result.json").write_bytes(b"{")
    with pytest.raises(ValueError, match=r"result.json is damaged"):
        read_result(run)
    with pytest.raises(FileNotFoundError, match=r"there is no config.json"):
        read_config(run.parent)


@pytest.mark.parametrize(
    "address", ["gs://bucket/run", "s3://bucket/run", "gs:/bucket", "file:///x"]
)
def test_an_address_is_refused_at_once(address):
    for make in (lambda folder: ja.RunWriter(folder, CONFIG), ja.Checkpoints):
        with pytest.raises(ValueError, match=rf"found the address {address}; mount"):
            make(address)


@pytest.mark.parametrize("folder", [None, 3, b"run", ["run"]])
def test_a_folder_is_a_path(folder):
    with pytest.raises(TypeError, match="folder must be a path, found"):
        ja.RunWriter(folder, CONFIG)
    assert str(local_folder("C:/runs")) == "C:/runs"
