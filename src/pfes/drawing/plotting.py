"""How figures of pfes look, and how they become SVG, PDF or PNG.

Colours are of the Okabe-Ito set (safe for colour-blind readers). Every function is pure: figures are made without
pyplot and share no state, and ``svg``, ``pdf`` and ``png`` give the same bytes for the same figure.
"""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK = "#1b1b1b"
CLASS_COLOURS = {"macro": "#0072b2", "micro": "#d55e00"}
CURVES = ((INK, ""), ("#009e73", "4 1.5"), ("#cc79a7", "1 1"), ("#8a6d00", "5 1.5 1 1.5"))  # colour, dashes as in SVG
_THEME = {**CLASS_COLOURS, **dict(zip(("green", "pink", "olive"), (colour for colour, _ in CURVES[1:]), strict=True))}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "hatch.linewidth": 0.8,
}
LEGEND: dict[str, Any] = {
    "loc": "outside lower center",
    "ncols": 9,
    "frameon": False,
    "fontsize": 8,
    "labelcolor": INK,
    "handlelength": 1.8,
    "columnspacing": 1.4,
}


def svg(figure: Figure, *, label: str = "", prefix: str | None = None) -> str:
    """Return ``figure`` as an SVG element with real text and no date.

    Parameters
    ----------
    label : text for screen readers
    prefix : None gives a file that stands alone. A prefix, unique on the page, gives an element for an HTML page: its
        ids start with the prefix, ink is the colour of the page's text, and classes take ``--macro`` and ``--micro``.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({**STYLE, "svg.hashsalt": "pfes"}):
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=prefix is not None)
    text = buffer.getvalue()
    text = re.sub(r" ?font-family: [^;\"]*;?", "", text[text.index("<svg") :])
    root = f'<svg role="img" aria-label="{escape(label, quote=True)}" font-family="DejaVu Sans, Arial, sans-serif" '
    text = text.replace("<svg ", root, 1)
    return text if prefix is None else _themed(text, prefix)


def pdf(figure: Figure) -> bytes:
    """Return ``figure`` as PDF with embedded TrueType fonts and no date."""
    buffer = io.BytesIO()
    with mpl.rc_context({**STYLE, "pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def png(figure: Figure, dpi: int = 150) -> bytes:
    """Return ``figure`` as PNG on white."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure on white; lengths in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(width, height), layout=ConstrainedLayoutEngine(hspace=0.02, h_pad=0.03), facecolor="white"
        )
        FigureCanvasAgg(figure)
    return figure


def panels(count: int, height: float, width: float = 6.4) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels side by side, without top and right frame; lengths in inches."""
    figure = new_figure(width, height)
    with mpl.rc_context({**STYLE, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK}):
        axes = list(figure.subplots(1, count, squeeze=False, sharey=True)[0])
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color=INK, alpha=0.12, linewidth=0.6)
        panel.set_axisbelow(True)
    return figure, axes


def with_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str] | None = None) -> Figure:
    """Return ``figure`` with a legend below it."""
    texts = [handle.get_label() for handle in handles] if labels is None else list(labels)
    figure.legend(handles=list(handles), labels=texts, **{**LEGEND, "ncols": 4})
    return figure


def curve_style(index: int) -> tuple[str, Any]:
    """Return colour and line style of the curve of experiment ``index``."""
    colour, dashes = CURVES[index % len(CURVES)]
    return colour, (0, [float(dash) for dash in dashes.split()]) if dashes else "-"


def plain(name: str) -> str:
    """Name of a curve in a legend, where matplotlib would read ``$`` as mathematics and hide a leading ``_``."""
    return ("\N{ZERO WIDTH SPACE}" + name).replace("$", r"\$")


def _themed(text: str, prefix: str) -> str:
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'url\(#|href="#', lambda found: found.group() + prefix, text)
    text = text.replace(INK, "currentColor")
    for name, colour in _THEME.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return text
