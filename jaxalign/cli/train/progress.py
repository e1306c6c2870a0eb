"""The progress display of a training run: steps, speed, loss, and each layer's area moving."""

import threading
import time
from types import TracebackType

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from jaxalign.report.run.summary import over_models
from jaxalign.runs import History


class TrainingDisplay:
    """A live display in a terminal, a line now and then elsewhere: ``with display:
    display.update(history)``.

    Args:
      console: where to.
      steps: how many there will be.
      stopping: set when the run is to end after its running chunk; shown at once. (A signal handler
        may set an event, but not print: the signal may have come in the middle of printing.)
    """

    def __init__(self, console: Console, steps: int, stopping: threading.Event):
        self._console, self._steps, self._stopping = console, steps, stopping
        self._progress = Progress(
            TextColumn("step"), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(), TextColumn("·"), TimeRemainingColumn(), TextColumn("left"), console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=steps, speed="compiling …")
        self._last: History | None = None
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8)
        self._begin: dict[str, float] = {}
        self._clock: tuple[float, int] | None = None
        self._next_line = 0.0
        self.steps_per_second = float("nan")

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
        """Show the last row of a chunk; of several models the medians."""
        part = over_models(part).value
        self._measure_speed(int(part.step[-1]))
        for name, record in part.layers.items():
            self._begin.setdefault(name, float(record.area[0]))
        step = min(int(part.step[-1]), self._steps)
        if self._console.is_terminal:
            self._progress.update(self._task, completed=step, speed=self._speed())
            self._last = part
        elif step >= self._next_line or step == self._steps:
            self._next_line = step + self._steps / 10
            areas = "  ".join(
                f"{name} {record.area[-1] / part.total:.2f}" for name, record in part.layers.items()
            )
            self._console.print(
                f"step {step}/{self._steps}  loss {part.loss[-1]:.4f}  area/‖y‖²: {areas}",
                highlight=False,
                soft_wrap=True,
            )

    def _render(self) -> Group:
        shown: list[RenderableType] = [self._progress]
        if self._last is not None:
            shown += [self._numbers(self._last), self._areas(self._last)]
        if self._stopping.is_set():
            shown.append("[yellow]stopping after this chunk (Ctrl-C again to stop at once) …[/]")
        return Group(*shown)

    def _measure_speed(self, step: int) -> None:
        """Steps a second since the first chunk came, whose own time is mostly compilation; nothing
        under half a second.
        """
        now = time.perf_counter()
        if self._clock is None:
            self._clock = now, step
        elif now - self._clock[0] > 0.5:
            self.steps_per_second = (step - self._clock[1]) / (now - self._clock[0])

    def _speed(self) -> str:
        return (
            ""
            if self.steps_per_second != self.steps_per_second
            else f"{self.steps_per_second:.0f} step/s"
        )

    def _numbers(self, part: History) -> str:
        metrics = "   ".join(
            f"{name} [bold]{values.mean():.3f}[/]" for name, values in part.metrics.items()
        )
        return f"loss [bold]{part.loss.mean():.4f}[/]   {metrics}   [dim]means of the last {len(part.step)} steps[/]"

    def _areas(self, part: History) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("layer")
        table.add_column("area/‖y‖²", justify="right")
        table.add_column("", width=32)
        table.add_column("untrained", justify="right", style="dim")
        limit = float(part.grid[-1])
        for name, record in part.layers.items():
            area = float(record.area[-1]) / part.total
            shown = area if area == area else 0.0  # a diverged layer has no bar
            table.add_row(
                name,
                f"{area:.2f}",
                Bar(limit, 0, shown, color="magenta"),
                f"{self._begin[name] / part.total:.2f}",
            )
        return table
