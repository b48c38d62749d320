"""A figure's SVG for inlining into the page."""

from __future__ import annotations

import re

INK = "#767676"  # of all figures: contrast 4.5 on white, and 3.9 on the report's dark paper


def inline_svg(svg: bytes, name: str, description: str) -> str:
    """An SVG to be inlined into HTML: unique ids, the page's text colour and font, a description.

    The page's style sets the font of `svg text`, and coordinates are rounded to a hundredth of a
    point: this halves the size of a report.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = _compact(text)
    # matplotlib names every group; ids that nothing refers to are removed.
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(INK, "currentColor", text, flags=re.IGNORECASE)
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _compact(svg: str) -> str:
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    text = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"", "", text)
    text = re.sub(r"font-family: [^;\"]*; ?", "", text)
    # Only in drawing attributes: a language may be called 1.2345.
    text = re.sub(
        r'\b(d|x|y|points|transform|width|height)="([^"]*)"',
        lambda found: f'{found[1]}="' + re.sub(r"(\.\d\d)\d+", r"\1", found[2].strip()) + '"',
        text,
    )
    text = re.sub(r"\s*\n\s*", " ", text)
    return re.sub(r"> <", "><", text)
