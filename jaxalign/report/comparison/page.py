"""The page of a comparison: one self-contained index.html."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from jaxalign.comparison import Compared, Comparison, not_above_chance
from jaxalign.comparison._alignment import Alignments, best_layer
from jaxalign.report.comparison.figure import similarity_map
from jaxalign.report.comparison.headline import best_match, matches, shown, shown_p
from jaxalign.report.comparison.terminal import sentences
from jaxalign.report.inspection.terminal import shown_shape
from jaxalign.style.html import number, render
from jaxalign.style.layout import NARROW
from jaxalign.style.svg import picture


def comparison_page(compared: Compared, figure: Figure) -> str:
    """The HTML of a comparison.

    Args:
      compared: what its folder holds.
      figure: its picture, as ``similarity_map`` draws it.
    """
    comparison = compared.comparison
    config = compared.config
    return render(
        "jaxalign.report.comparison",
        "page.html",
        title=config["title"],
        kicker=config["subtitle"],
        warnings=[],
        lede=_lede(comparison),
        tiles=list(_tiles(comparison)),
        figure=picture(
            figure,
            similarity_map(compared, NARROW),
            f"Heat map of {comparison.measure}. {_lede(comparison)}",
            "map",
        ),
        caption=_caption(comparison),
        sentences=list(sentences(comparison)),
        samples=f"{comparison.num_samples:,}",
        measure=comparison.measure,
        matches=[list(cells) for cells in _matches(comparison)],
        aligned=list(_aligned(comparison, config["names"])),
        notes=config["notes"],
        details=list(config["details"].items()),
        command=config["command"],
    )


def _lede(comparison: Comparison) -> str:
    """The most alike pair, and how often layers of one name find each other."""
    best = best_match(comparison, others=_is_same(comparison))
    if best is None:
        return (
            "No pair of layers has a value: on these samples every layer of one side is constant."
        )
    text = f"Most alike are {best.first} of A and {best.second} of B: {shown(best.value)}"
    if best.chance is not None:
        text += f", by chance {shown(best.chance)}"
    shared = [match for match in matches(comparison) if match.first in comparison.second]
    if len(shared) > 1 and not _is_same(comparison):
        found = sum(match.first == match.second for match in shared)
        text += f". For {found} of {len(shared)} layers the best match has the same name"
    return f"{text}."


def _is_same(comparison: Comparison) -> bool:
    """Whether the layers of one model are compared with each other: all are their own likeness."""
    if list(comparison.first) != list(comparison.second) or len(comparison.first) < 2:
        return False
    extreme = 0.0 if comparison.is_distance else 1.0
    diagonal = comparison.pairs.values.diagonal()
    return bool((abs(diagonal - extreme) < 1e-6).all())


def _caption(comparison: Comparison) -> str:
    measure = f"{comparison.measure[0].upper()}{comparison.measure[1:]}"
    text = f"{measure}, from the first layers (lower left) to the last (upper right)."
    if comparison.is_distance:
        text += " Less is more alike."
    if not_above_chance(comparison) is not None:
        text += " A cross marks pairs that are not above chance."
    if comparison.alignments is not None:
        text += " Bars: alignment of each layer with the targets; dots: by chance."
    return text


def _tiles(comparison: Comparison) -> Iterator[tuple[str, str]]:
    best = best_match(comparison, others=_is_same(comparison))
    if best is not None:
        yield shown(best.value), f"{comparison.measure}, of {best.first} and {best.second}"
    marked = not_above_chance(comparison)
    if marked is not None:
        yield f"{int((~marked).sum()):,} of {marked.size:,}", "pairs are more alike than chance"
    for each in comparison.differences[:1]:
        label = f"alignment of {each.second} (B) less that of {each.first} (A)"
        yield shown(each.value), f"{label}, 95 % interval {shown(each.low)} to {shown(each.high)}"


def _matches(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    for match in matches(comparison):
        layer = comparison.first[match.first]
        yield (
            match.first,
            shown_shape(layer.shape),
            f"{layer.width:,}",
            match.second or "–",
            shown(match.value),
            shown(match.chance),
            shown_p(match.p_value, comparison.permutations),
        )


def _aligned(
    comparison: Comparison, names: tuple[str, str]
) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    if comparison.alignments is None:
        return
    sides = zip("AB", names, comparison.alignments, strict=True)
    for side, name, alignments in sides:
        if side == "B" and alignments is comparison.alignments[0]:
            return
        best = best_layer(alignments)
        yield f"{side}: {name}; most aligned: {best}", list(_rows(alignments))


def _rows(alignments: Alignments) -> Iterator[tuple[str, ...]]:
    for name, row in alignments.items():
        yield name, number(row.area, 2), number(row.null_area, 2), f"{row.aligned_rank:,}"
