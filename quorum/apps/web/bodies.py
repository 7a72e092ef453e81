"""Reads the JSON body of a request as a model, and says what is wrong with it."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from quorum.apps.http.problems import Problem
from quorum.core.errors import InputError

__all__ = ["parsed"]

M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], data: bytes, content_type: str) -> M:
    """The body as a model.

    Args:
        model: The model.
        data: The body.
        content_type: The header ``content-type``.

    Raises:
        Problem: If it is no JSON.
        InputError: If it does not fit the model; the text names each field.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "send application/json")
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not valid JSON") from None
    try:
        return model.model_validate(read)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])[:100]}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)[:5]
        )
        raise InputError(told) from None
