"""Translates the words of a case for who reads it, where an operator configured a translator."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request
from starlette.responses import Response

from quorum.apps.console.desk.viewing import Viewings
from quorum.apps.console.pages.base import CurrentSession, FormFields, PageError, console_of
from quorum.apps.console.pages.highlighting import highlighted_fields
from quorum.apps.console.pages.rendering import render
from quorum.models.prompt.translation import TranslationFailed, Translator

__all__ = ["router"]

_log = logging.getLogger(__name__)

router = APIRouter()

#: Lines of media that are translated with the text.
_MOST_LINES = 200


@router.post("/case/translate")
def translate(request: Request, given: FormFields, session: CurrentSession) -> Response:
    """Render the translations of a case's texts and of the words in its media."""
    translator: Translator | None = console_of(request).settings.translator
    if translator is None:
        raise PageError(404, "No translator is configured (quorum console --translation FILE).")
    upload = console_of(request).ledger.get_cases([given.get("upload", "")], ["upload"])[0].upload
    if upload is None:
        raise PageError(404, "The ledger has no upload with this id.")
    # As the page numbers them.
    fields = [field.parts for field in highlighted_fields(upload, ())]
    texts = {f"f{n}": "".join(part.text for part in parts) for n, parts in enumerate(fields)}
    viewings: Viewings = request.app.state.viewings
    watched = viewings.of(upload) if upload.media and viewings.has(upload) else None
    lines = () if watched is None else watched.lines[:_MOST_LINES]
    texts |= {f"l{n}": line.text for n, line in enumerate(lines)}
    texts = {name: text for name, text in texts.items() if text.strip()}
    message, made = "", None
    try:
        made = translator.translate(texts)
    except TranslationFailed as error:
        message = str(error)
        _log.warning("translation failed: %s", error)
    return render(
        request,
        "_translation.html",
        made=made,
        message=message,
        model=translator.recipe.model,
        to=translator.recipe.to,
        lines=[(line, made.texts.get(f"l{n}")) for n, line in enumerate(lines)] if made else [],
    )
