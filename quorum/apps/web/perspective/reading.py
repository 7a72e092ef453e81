"""What a request of ``comments:analyze`` asks for, and what Perspective refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import ValidationError

from quorum.apps.web.perspective.errors import refuse
from quorum.apps.web.perspective.messages import AnalyzeRequest
from quorum.core.settings import AttributeSource

__all__ = ["parsed", "sources_for"]

#: The most bytes of a comment, as Perspective has it.
MAX_BYTES = 20_480


def parsed(data: bytes, content_type: str) -> AnalyzeRequest:
    """Read the body of a request.

    Args:
        data: The body.
        content_type: Its type, as the header names it.

    Raises:
        Problem: If it is not one.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        refuse("send application/json")
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        refuse("Invalid JSON payload received")
    if not isinstance(read, dict):
        refuse("Invalid JSON payload received: must be an object")
    try:
        return AnalyzeRequest.of(read)
    except ValidationError as invalid:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])[:100]}: {_problem(item['type'])}"
            for item in invalid.errors(include_url=False, include_input=False)[:5]
        )
        refuse(f"Invalid JSON payload received. {problems}")


def _problem(kind: str) -> str:
    return "Cannot find field" if kind == "extra_forbidden" else f"is not valid ({kind})"


def sources_for(
    asked: AnalyzeRequest, attributes: Mapping[str, AttributeSource]
) -> dict[str, AttributeSource]:
    """What answers the requested attributes.

    Raises:
        Problem: If the request is one that Perspective refuses, or an attribute is unknown here.
    """
    text = asked.comment.text
    if asked.comment.type == "HTML":
        refuse("Currently, only 'PLAIN_TEXT' comments are supported")
    if not text.strip():
        refuse("Comment must be non-empty.", "COMMENT_EMPTY")
    if len(text.encode(errors="replace")) > MAX_BYTES:
        refuse("Comment text too long.", "COMMENT_TOO_LONG")
    context = asked.context
    if context and context.entries and context.article_and_parent_comment:
        refuse(
            "Context can have either entries or article_and_parent_comment, but both fields were "
            "populated."
        )
    if not asked.requested_attributes:
        refuse("Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES")
    for name, parameters in asked.requested_attributes.items():
        if name not in attributes:
            there = ", ".join(sorted(attributes)) or "none"
            refuse(
                f"Unknown requested attribute: {name[:64]}",
                description=f"No detector answers it here. There are: {there}.",
            )
        if parameters.score_type not in ("SCORE_TYPE_UNSPECIFIED", "PROBABILITY"):
            refuse(
                f"Requested score type {parameters.score_type} is not supported by attribute {name}"
            )
    return {name: attributes[name] for name in asked.requested_attributes}
