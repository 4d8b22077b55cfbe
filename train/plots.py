"""Plots as SVG text: small enough to need no plotting library."""

from collections import Counter
from html import escape

import numpy as np

WIDTH, ROW, BINS = 640, 22, 40
CHART = 110  # pixels


def bars_and_histograms(counts: Counter, scores: dict[str, list[float]], limits: dict[str, float]) -> str:
    """Counts as bars, then a histogram of each list of scores with its limit marked."""
    parts, y, most = [], 30, max(counts.values(), default=1)
    for name, count in counts.most_common():
        length = 260 * count / most
        parts.append(
            f'<rect x="320" y="{y - 13}" width="{length:.1f}" height="16" fill="{"#2a7" if name == "kept" else "#c66"}"/>'
        )
        parts.append(
            f'<text x="312" y="{y}" text-anchor="end">{escape(name)}</text><text x="{326 + length:.1f}" y="{y}">{count}</text>'
        )
        y += ROW
    for name, values in scores.items():
        if not values:
            continue
        y += CHART + 30
        heights, edges = np.histogram(values, BINS)
        low, span = edges[0], max(edges[-1] - edges[0], 1e-12)
        step = (WIDTH - 80) / BINS
        for k, height in enumerate(heights):
            tall = (CHART - 20) * height / heights.max()
            parts.append(
                f'<rect x="{40 + k * step:.1f}" y="{y - tall:.1f}" width="{step - 1:.1f}" height="{tall:.1f}" fill="#58a"/>'
            )
        parts.append(f'<text x="40" y="{y - CHART + 8}">{escape(name)}</text>')
        parts.append(
            f'<text x="40" y="{y + 15}">{low:.3g}</text><text x="{WIDTH - 40}" y="{y + 15}" text-anchor="end">{edges[-1]:.3g}</text>'
        )
        if name in limits and low <= limits[name] <= edges[-1]:
            x = 40 + (limits[name] - low) / span * (WIDTH - 80)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - CHART + 14}" y2="{y}" stroke="#c33"/>')
    style = '<style>text{font:13px sans-serif}</style><rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 30}">{style}{"".join(parts)}</svg>'
