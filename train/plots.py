"""Plots as SVG text, so that training needs no plotting library."""

from collections import Counter
from html import escape

import numpy as np

WIDTH, ROW, CHART, BINS = 640, 22, 110, 40  # pixels, but for the bins
KEPT, REJECTED, BAR, LIMIT = "#2a7", "#c66", "#58a", "#c33"


def bars_and_histograms(counts: Counter, scores: dict[str, list[float]], limits: dict[str, float]) -> str:
    """Draw counts as bars, then a histogram of each list of scores, with its limit as a red line."""
    parts, y, most = [], 30, max(counts.values(), default=1)

    def text(x: float, y: float, value, anchor: str = "start") -> None:
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(str(value))}</text>')

    def box(x: float, y: float, width: float, height: float, colour: str) -> None:
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    for name, count in counts.most_common():
        length = 260 * count / most
        box(320, y - 13, length, 16, KEPT if name == "kept" else REJECTED)
        text(312, y, name, "end")
        text(326 + length, y, count)
        y += ROW
    for name, values in scores.items():
        if not values:
            continue
        y += CHART + 30
        heights, edges = np.histogram(values, BINS)
        low, span, step = edges[0], max(edges[-1] - edges[0], 1e-12), (WIDTH - 80) / BINS
        for index, height in enumerate(heights * (CHART - 20) / heights.max()):
            box(40 + index * step, y - height, step - 1, height, BAR)
        text(40, y - CHART + 8, name)
        text(40, y + 15, f"{low:.3g}")
        text(WIDTH - 40, y + 15, f"{edges[-1]:.3g}", "end")
        if name in limits and low <= limits[name] <= edges[-1]:
            box(40 + (limits[name] - low) / span * (WIDTH - 80), y - CHART + 14, 1, CHART - 14, LIMIT)
    style = '<style>text{font:13px sans-serif}</style><rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 30}">{style}{"".join(parts)}</svg>'
