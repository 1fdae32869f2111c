"""Charts as static SVG: Vega-Lite, drawn by vl-convert without a browser.

Their colours are the page's own, as CSS variables, so that they are light and dark with it; nothing in
them is a script or a style. Each comes with its numbers, which are its text for whoever does not see it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from gritmill.pipeline.engine.receipts import Total
from gritmill.pipeline.report.html import Html
from gritmill.pipeline.report.measured import MeasuredColumn
from gritmill.pipeline.report.survey import AREA_BINS, SCORE_BINS, Counts

Spec = dict[str, Any]
Rows = Sequence[tuple[str, ...]]

_VERSION = "5.21"
_MOST_BARS = 40
_MEASURED_BARS = 32
_WIDE = 100
"""Measurements that span more than this many times their lowest value are drawn in powers of ten."""
_TAIL = 0.995
"""Share of the values that get a bar of their own; a few very long captions would flatten all others."""
MOST_CONCEPTS = 16
_WIDTH, _HEIGHT = 300, 170
_INK, _SOFT, _RULE = "var(--ink)", "var(--soft)", "var(--rule)"
_MAIN, _SECOND, _THIRD = "var(--c0)", "var(--c4)", "var(--c1)"
_CONFIG = {
    "aria": False,
    "background": None,
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _SOFT,
        "titleColor": _SOFT,
        "titleFontWeight": "normal",
        "titleFontSize": 11,
        "labelFontSize": 11,
        "gridColor": _RULE,
        "domainColor": _RULE,
        "tickColor": _RULE,
    },
    "axisY": {"domain": False, "ticks": False, "tickCount": 4},
    "axisX": {"grid": False, "tickCount": 6},
    "legend": {"labelColor": _INK, "labelFontSize": 11, "orient": "top", "title": None, "offset": 4},
}


class Chart(NamedTuple):
    """A drawing, what it is called, what it says in a sentence, and its numbers."""

    title: str
    says: str
    svg: Html
    header: tuple[str, ...]
    rows: Rows


def lengths(title: str, what: str, unit: str, counts: Mapping[int, int]) -> Chart:
    """How many have 1, 2, 3, ... words or boxes; the longest together in the last bar."""
    total = sum(counts.values())
    below, last = 0, max(counts)
    for value in sorted(counts):
        below += counts[value]
        if below >= _TAIL * total:
            last = value
            break
    step = max(1, math.ceil((last + 1 - min(counts)) / _MOST_BARS))
    first = min(counts) // step * step
    bars: Counter[int] = Counter()
    longer = 0
    for value, n in counts.items():
        longer += n if value > last else 0
        bars[(min(value, last) - first) // step] += n
    data = [
        {"from": first + i * step - 0.45, "to": first + (i + 1) * step - 0.55, "n": n}
        for i, n in sorted(bars.items())
    ]
    mean = sum(value * n for value, n in counts.items()) / total
    says = f"{total:,} {what}, {mean:.1f} {unit} on average, at most {max(counts):,}."
    if longer:
        says += f" The last bar holds {longer:,} with more than {last}."
    axis = {"format": "d", "tickMinStep": 1}
    rows = [(_range(first + i * step, step), f"{n:,}") for i, n in sorted(bars.items())]
    return Chart(title, says, _bars(data, unit, what, axis), (unit, what), rows)


def _range(value: int, step: int) -> str:
    return str(value) if step == 1 else f"{value}-{value + step - 1}"


def areas(counts: Counts, median: float) -> Chart:
    """Boxes by their share of the image, on a scale of powers of ten."""
    data = [
        {"from": 10 ** (i / AREA_BINS), "to": 10 ** ((i + 1) / AREA_BINS), "n": n}
        for i, n in sorted(counts.areas.items())
    ]
    says = f"Half of the boxes cover less than {median:.1%} of their image."
    scale = {"type": "log", "nice": False}
    svg = _bars(data, "share of the image", "boxes", {"format": "~%", "tickCount": 4}, scale)
    rows = [(f"{100 * d['from']:.3g}-{100 * d['to']:.3g}%", f"{d['n']:,}") for d in data]
    return Chart("Box area", says, svg, ("share of the image", "boxes"), rows)


def scores(counts: Counts, models: Sequence[str]) -> Chart:
    """Boxes by the raw score of their model."""
    data = [
        {"from": i / SCORE_BINS, "to": (i + 1) / SCORE_BINS, "n": n} for i, n in sorted(counts.scores.items())
    ]
    says = f"As {', '.join(models)} gave them; scores of different models cannot be compared."
    svg = _bars(data, "score", "boxes", {}, {"domain": [0, 1]})
    rows = [(f"{d['from']:.2f}-{d['to']:.2f}", f"{d['n']:,}") for d in data]
    return Chart("Score", says, svg, ("score", "boxes"), rows)


def measurement(found: MeasuredColumn) -> Chart:
    """Rows by what a filter measured, the dropped ones in another colour, with a line at each threshold."""
    low, high, width, is_log = _shown(found)
    place, value_at = (math.log10, lambda x: 10.0**x) if is_log else (float, float)
    bars: Counter[tuple[int, str]] = Counter()
    outside = 0
    for became, counts in (("kept", found.kept), ("dropped", found.dropped)):
        for value, n in counts.items():
            outside += n if not low <= place(value) <= high else 0
            bars[min(max(int((place(value) - low) // width), 0), _MEASURED_BARS - 1), became] += n
    data = [
        {"from": value_at(low + i * width), "to": value_at(low + (i + 1) * width), "n": n, "became": became}
        for (i, became), n in sorted(bars.items())
    ]
    near = [value for _, value in found.bounds if value > 0 or not is_log]
    thresholds = [{"threshold": value} for value in near if low <= place(value) <= high]
    kept, dropped = found.kept.total(), found.dropped.total()
    asked = " and ".join(text for text, _ in found.bounds) or "any value"
    share = dropped / (kept + dropped)
    says = f"Asked for: {asked}. {kept:,} rows within, {dropped:,} dropped ({share:.1%})."
    if outside:
        says += f" The bars at the ends hold {outside:,} beyond."
    x = {
        "field": "from",
        "type": "quantitative",
        "bin": "binned",
        "title": found.column,
        "scale": {"zero": False, "nice": False, "type": "log" if is_log else "linear"},
    }
    y = {"field": "n", "type": "quantitative", "title": "rows", "axis": {"format": "~s"}}
    colour = {
        "field": "became",
        "type": "nominal",
        "scale": {"domain": ["kept", "dropped"], "range": [_MAIN, _SECOND]},
    }
    spec: Spec = {
        "layer": [
            {
                "data": {"values": data},
                "mark": {"type": "bar"},
                "encoding": {"x": x, "x2": {"field": "to"}, "y": y, "color": colour},
            },
            {
                "data": {"values": thresholds},
                "mark": {"type": "rule", "color": _INK, "strokeWidth": 1.5, "strokeDash": [4, 3]},
                "encoding": {"x": {"field": "threshold", "type": "quantitative"}},
            },
        ]
    }
    rows = [(f"{d['from']:.4g} to {d['to']:.4g}", str(d["became"]), f"{d['n']:,}") for d in data]
    title = f"{found.step}: {found.column}"
    return Chart(title, says, _svg(spec), (found.column, "became", "rows"), rows)


def _shown(found: MeasuredColumn) -> tuple[float, float, float, bool]:
    """The range that all but a few values lie in, with thresholds that are not far off, the width of a bar,
    and whether all this is in powers of ten. Whole numbers stand in the middle of their bar."""
    counts = sorted((found.kept + found.dropped).items())
    total = sum(n for _, n in counts)
    reached = list(accumulate(n for _, n in counts))
    low = next(value for (value, _), n in zip(counts, reached, strict=True) if n > (1 - _TAIL) * total)
    high = next(value for (value, _), n in zip(counts, reached, strict=True) if n >= _TAIL * total)
    near = [value for _, value in found.bounds if 2 * low - high <= value <= 2 * high - low]
    low, high = min([low, *near]), max([high, *near])
    if all(value.is_integer() for value, _ in counts):
        low, high = math.floor(low) - 0.5, math.ceil(high) + 0.5
        return low, high, math.ceil((high - low) / _MEASURED_BARS), False
    if low == high:  # a bar in the middle, not one as wide as what it measures never gets
        pad = abs(low) / 20 or 0.5
        return low - pad, high + pad, 2 * pad / _MEASURED_BARS, False
    is_log = counts[0][0] > 0 and high > _WIDE * low > 0
    if is_log:
        low, high = math.log10(low), math.log10(high)
    return low, high, (high - low) / _MEASURED_BARS, is_log


def concepts(counts: Mapping[str, int], coverage: float) -> Chart:
    """Boxes by the head noun of their phrase, the most frequent ones."""
    most = list(counts.items())[:MOST_CONCEPTS]
    spec: Spec = {
        "height": {"step": 13},
        "data": {"values": [{"concept": name, "n": n} for name, n in most]},
        "mark": {"type": "bar", "color": _MAIN},
        "encoding": {
            "y": {
                "field": "concept",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelColor": _INK, "labelLimit": 120, "labelFontSize": 10},
            },
            "x": {"field": "n", "type": "quantitative", "title": "boxes", "axis": {"grid": True}},
        },
    }
    says = (
        f"{len(counts):,} different head nouns; the {len(most)} here stand for {coverage:.0%} of the boxes."
    )
    rows = [(name, f"{n:,}") for name, n in most]
    return Chart("Concepts", says, _svg(spec), ("concept", "boxes"), rows)


def funnel(totals: Mapping[str, Total]) -> Html:
    """Rows that each step kept, rejected and lost; the table beside it has the numbers."""
    values = [
        {"step": name, "became": became, "n": n}
        for name, total in totals.items()
        for became, n in (
            ("kept", total.rows_out),
            ("rejected", total.rejected.total()),
            ("failed", total.failures),
        )
    ]
    spec: Spec = {
        "width": 420,
        "height": {"step": 24},
        "data": {"values": values},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": {
                "field": "step",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelColor": _INK, "labelLimit": 160},
            },
            "x": {"field": "n", "type": "quantitative", "title": "samples", "axis": {"grid": True}},
            "color": {
                "field": "became",
                "type": "nominal",
                "scale": {"domain": ["kept", "rejected", "failed"], "range": [_MAIN, _SECOND, _THIRD]},
            },
        },
    }
    return _svg(spec)


def curve(title: str, says: str, field: str, lines: Sequence[Mapping[str, Any]]) -> Chart:
    """A number of the training's log over its steps."""
    values = [{"step": line["step"], "value": line[field]} for line in lines]
    spec: Spec = {
        "data": {"values": values},
        "mark": {"type": "line", "color": _MAIN, "strokeWidth": 1.75},
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "axis": {"format": "~s"}},
            "y": {"field": "value", "type": "quantitative", "title": None, "axis": {"format": "~g"}},
        },
    }
    stride = max(1, math.ceil(len(values) / 20))
    rows = [(f"{v['step']:,}", f"{v['value']:.4g}") for v in values[stride - 1 :: stride]]
    return Chart(title, says, _svg(spec), ("step", field.replace("_", " ")), rows)


def score_chart(scores: Sequence[Mapping[str, Any]]) -> Html:
    """Scores with their intervals, and beside each the best that one gets without looking.

    A score is {"protocol": "rec/first_box@0.5", "value": 0.58, "low": 0.56, "high": 0.6, "blind": 0.03}.
    """
    y = {
        "field": "protocol",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelColor": _INK, "labelLimit": 220, "grid": True},
    }

    scale = {"domain": [0, max(1.0, *(score["high"] for score in scores))]}

    def x(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "title": "score", "scale": scale}

    spec: Spec = {
        "height": {"step": 24},
        "data": {"values": list(scores)},
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "rule", "color": _MAIN, "strokeWidth": 2},
                "encoding": {"x": x("low"), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "transform": [{"calculate": "'this model'", "as": "who"}],
                "encoding": {"x": x("value"), "color": _WHO, "shape": _SHAPE},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "transform": [
                    {"filter": "datum.blind != null"},
                    {"calculate": "'without looking'", "as": "who"},
                ],
                "encoding": {"x": x("blind"), "color": _WHO, "shape": _SHAPE},
            },
        ],
    }
    return _svg(spec)


_NAMES = ["this model", "without looking"]
_WHO = {"field": "who", "type": "nominal", "scale": {"domain": _NAMES, "range": [_MAIN, _SECOND]}}
_SHAPE = {"field": "who", "type": "nominal", "scale": {"domain": _NAMES, "range": ["circle", "diamond"]}}


def _bars(
    data: list[dict[str, float]], x: str, y: str, axis: Spec | None = None, scale: Spec | None = None
) -> Html:
    """Bars over ranges `from`..`to`, of height `n`."""
    encoding = {
        "x": {
            "field": "from",
            "type": "quantitative",
            "bin": "binned",
            "title": x,
            "axis": axis or {},
            "scale": {"zero": False, "nice": False, **(scale or {})},
        },
        "x2": {"field": "to"},
        "y": {"field": "n", "type": "quantitative", "title": y, "axis": {"format": "~s"}},
    }
    return _svg({"data": {"values": data}, "mark": {"type": "bar", "color": _MAIN}, "encoding": encoding})


def _svg(spec: Spec) -> Html:
    import vl_convert

    whole = {"width": _WIDTH, "height": _HEIGHT, "config": _CONFIG, **spec}
    return Html(vl_convert.vegalite_to_svg(whole, vl_version=_VERSION))
