"""The progress display of a training run: steps, speed, loss, and the area of every layer."""

import math
import threading
import time
from types import TracebackType

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from jaxalign.cli.progress import Lines, progress_bar
from jaxalign.runs import History
from jaxalign.style.names import in_terminal, printable
from jaxalign.training._progress import median

LINES = 10
"""Lines of a run where there is no terminal, beside the first."""


class TrainingDisplay:
    """A live display in a terminal, a line now and then elsewhere: ``with display:
    display.update(history)``.

    Args:
      console: where to.
      steps: how many there will be.
      monitor_size: n, the number of monitored rows: area/‖y‖² is at most √n.
      stopping: set when the run is to end after its running chunk; shown at once. (A signal handler
        may set an event, but not print: the signal may have come in the middle of printing.)
    """

    def __init__(self, console: Console, steps: int, monitor_size: int, stopping: threading.Event):
        self._console = console
        self._steps = steps
        self._limit = math.sqrt(monitor_size)
        self._stopping = stopping
        self._lines = Lines(steps, LINES)
        self._progress = progress_bar(console, TextColumn("{task.fields[speed]}", markup=False))
        self._task = self._progress.add_task("step", total=steps, speed="compiling …")
        self._last: History | None = None
        self._untrained: dict[str, float] = {}
        self._clock: tuple[float, int] | None = None
        self.steps_per_second = float("nan")
        # Comes last: it renders at once.
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8)

    def __enter__(self) -> "TrainingDisplay":
        if self._console.is_terminal:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.__exit__(kind, error, trace)

    def update(self, part: History) -> None:
        """Show the last row of a chunk; for several models the medians."""
        self._measure_speed(int(part.step[-1]))
        for name, area in areas(part, 0).items():
            self._untrained.setdefault(name, area)
        step = min(int(part.step[-1]), self._steps)
        if self._console.is_terminal:
            self._progress.update(self._task, completed=step, speed=self._speed())
            self._last = part
        elif self._lines.due(step):
            self._console.print(self._line(part, step), highlight=False, soft_wrap=True)

    def _line(self, part: History, step: int) -> str:
        text = f"step {step}/{self._steps}  loss {median(part.loss[-1]):.4f}"
        measured = "  ".join(
            f"{printable(name)} {area:.2f}" for name, area in areas(part, -1).items()
        )
        return f"{text}  area/‖y‖²: {measured}" if measured else text

    def _render(self) -> Group:
        shown: list[RenderableType] = [self._progress]
        if self._last is not None:
            shown += [self._numbers(self._last), self._areas(self._last)]
        if self._stopping.is_set():
            stopping = "stopping after this chunk (Ctrl-C again to stop at once) …"
            shown.append(Text(stopping, style="yellow"))
        return Group(*shown)

    def _measure_speed(self, step: int) -> None:
        """Steps a second since the first chunk came, whose own time is mostly compilation; nothing
        under half a second.
        """
        now = time.perf_counter()
        if self._clock is None:
            self._clock = (now, step)
            return
        seconds = now - self._clock[0]
        if seconds > 0.5:
            self.steps_per_second = (step - self._clock[1]) / seconds

    def _speed(self) -> str:
        if math.isnan(self.steps_per_second):
            return ""
        return f"{self.steps_per_second:.0f} step/s"

    def _numbers(self, part: History) -> Text:
        numbers = {"loss": f"{median(part.loss.mean(axis=0)):.4f}"}
        for name, values in part.metrics.items():
            numbers[name] = f"{median(values.mean(axis=0)):.3f}"
        text = Text()
        for name, number in numbers.items():
            text.append_text(in_terminal(name)).append(f" {number}   ", style="bold")
        return text.append(f"means of the last {len(part.step)} steps", style="dim")

    def _areas(self, part: History) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("layer")
        table.add_column("area/‖y‖²", justify="right")
        table.add_column("", width=32)
        table.add_column("untrained", justify="right", style="dim")
        for name, area in areas(part, -1).items():
            # A diverged layer has no bar.
            length = 0.0 if math.isnan(area) else area
            bar = Bar(self._limit, 0, length, color="magenta")
            table.add_row(in_terminal(name), f"{area:.2f}", bar, f"{self._untrained[name]:.2f}")
        return table


def areas(part: History, row: int) -> dict[str, float]:
    """area/‖y‖² of the layers that log it, in one of a chunk's measured rows; empty without any."""
    if not len(part.measured):
        return {}
    return {
        name: median(measures["area"][row]) / part.totals[name]
        for name, measures in part.layers.items()
        if "area" in measures
    }
