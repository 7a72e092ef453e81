"""Render a report: one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import jinja2

__all__ = ["KIT", "render"]

#: The folder of ``page.html`` (the page), ``kit.html`` (macros) and ``page.css``.
KIT: Final = Path(__file__).parent


def render(template: Path, **values: object) -> str:
    """Render a template that extends ``page.html``; all values are escaped.

    Args:
        template: The file of the template.
        values: Its variables.
    """
    return _environment(template.parent).get_template(template.name).render(values)


@lru_cache
def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, KIT]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
