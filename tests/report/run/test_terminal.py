import io

import numpy as np
from rich.console import Console

from jaxalign.report.run.terminal import summary


def printed(*arguments) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(summary(*arguments))
    return console.file.getvalue()


def test_a_row_a_layer_and_how_far_it_came(history, config):
    text = printed(
        history, config, {"status": "finished", "train_accuracy": 1.0, "test_accuracy": 0.87}
    )
    assert "step 40 of 40 (finished)" in text
    assert "87.0% on test data" in text
    for name, record in history.layers.items():
        row = next(line for line in text.splitlines() if line.startswith(name))
        assert f"{record.area[0] / 100:.2f}" in row
        assert f"{record.area[-1] / 100:.2f}" in row
        assert f"{record.alignment[-1, 1] / 100:.3f}" in row


def test_a_run_without_result_may_still_be_running(history, config):
    assert "step 40 of 40 (running, or killed)" in printed(history, config, {})


def test_several_seeds_have_intervals(seeds, config):
    accuracies = {"train_accuracy": [0.9] * 7, "test_accuracy": [0.8] * 7}
    text = printed(seeds, config, {"status": "finished", **accuracies})
    low, *_, high = area = np.sort(seeds.layers["hidden_3"].area[-1]) / np.float32(100)
    row = next(line for line in text.splitlines() if line.startswith("hidden_3"))
    assert f"{area[3]:.2f} [{low:.1f}, {high:.1f}]" in row
    assert "80.0% [80.0%, 80.0%] on test data" in " ".join(text.split())
    assert "medians of 7 models" in " ".join(text.split())
