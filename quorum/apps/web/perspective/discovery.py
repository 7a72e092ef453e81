"""The discovery document, from which Google's clients build the methods of an API.

See https://developers.google.com/discovery/v1/reference/apis.
"""

from __future__ import annotations

from typing import Any

__all__ = ["discovery_document"]

_TEXT = {"$ref": "TextEntry"}


def _object(name: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "type": "object", "properties": properties}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _map(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": item}


_STRING = {"type": "string"}
_FLOAT = {"type": "number", "format": "float"}
_INTEGER = {"type": "integer", "format": "int32"}
_BOOLEAN = {"type": "boolean"}

_SCHEMAS = {
    one["id"]: one
    for one in (
        _object("TextEntry", text=_STRING, type=_STRING),
        _object("ArticleAndParentComment", article=_TEXT, parentComment=_TEXT),
        _object(
            "Context",
            entries=_list(_TEXT),
            articleAndParentComment={"$ref": "ArticleAndParentComment"},
        ),
        _object("AttributeParameters", scoreType=_STRING, scoreThreshold=_FLOAT),
        _object("Score", value=_FLOAT, type=_STRING),
        _object("SpanScore", begin=_INTEGER, end=_INTEGER, score={"$ref": "Score"}),
        _object(
            "AttributeScores",
            spanScores=_list({"$ref": "SpanScore"}),
            summaryScore={"$ref": "Score"},
        ),
        _object(
            "AnalyzeCommentRequest",
            comment=_TEXT,
            context={"$ref": "Context"},
            requestedAttributes=_map({"$ref": "AttributeParameters"}),
            spanAnnotations=_BOOLEAN,
            languages=_list(_STRING),
            doNotStore=_BOOLEAN,
            clientToken=_STRING,
            sessionId=_STRING,
            communityId=_STRING,
        ),
        _object(
            "AnalyzeCommentResponse",
            attributeScores=_map({"$ref": "AttributeScores"}),
            languages=_list(_STRING),
            clientToken=_STRING,
            detectedLanguages=_list(_STRING),
        ),
        _object(
            "SuggestCommentScoreRequest",
            comment=_TEXT,
            context={"$ref": "Context"},
            attributeScores=_map({"$ref": "AttributeScores"}),
            languages=_list(_STRING),
            clientToken=_STRING,
            communityId=_STRING,
        ),
        _object(
            "SuggestCommentScoreResponse",
            clientToken=_STRING,
            detectedLanguages=_list(_STRING),
            requestedLanguages=_list(_STRING),
        ),
    )
}


def _method(name: str, description: str, asked: str, answered: str) -> dict[str, Any]:
    path = f"v1alpha1/comments:{name}"
    return {
        "id": f"commentanalyzer.comments.{name}",
        "path": path,
        "flatPath": path,
        "httpMethod": "POST",
        "description": description,
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": asked},
        "response": {"$ref": answered},
    }


def discovery_document(root: str) -> dict[str, Any]:
    """The discovery document of the service.

    Args:
        root: The address of the service, as its caller knows it, with a slash at its end.
    """
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "version": "v1alpha1",
        "title": "Comments analysis by Quorum",
        "description": "Scores comments by the detectors that run here.",
        "documentationLink": f"{root}openapi.json",
        "protocol": "rest",
        "rootUrl": root,
        "servicePath": "",
        "baseUrl": root,
        "batchPath": "batch",
        "parameters": {
            "alt": {
                "type": "string",
                "location": "query",
                "default": "json",
                "enum": ["json"],
                "enumDescriptions": ["Responses are JSON."],
                "description": "Format of the response.",
            },
            "key": {"type": "string", "location": "query", "description": "API key."},
            "prettyPrint": {
                "type": "boolean",
                "location": "query",
                "default": "true",
                "description": "Has no effect.",
            },
        },
        "schemas": _SCHEMAS,
        "resources": {
            "comments": {
                "methods": {
                    "analyze": _method(
                        "analyze",
                        "Scores a comment by the requested attributes.",
                        "AnalyzeCommentRequest",
                        "AnalyzeCommentResponse",
                    ),
                    "suggestscore": _method(
                        "suggestscore",
                        "Is refused: suggestions are not kept here.",
                        "SuggestCommentScoreRequest",
                        "SuggestCommentScoreResponse",
                    ),
                }
            }
        },
    }
