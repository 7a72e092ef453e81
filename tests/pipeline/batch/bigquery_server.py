"""A stand-in for BigQuery on loopback: its REST protocol, as far as Beam's sink speaks it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["BigQueryServer"]

#: What may be in a column, by the type of its schema; as the service refuses anything else.
_FITS = {"STRING": str, "INTEGER": int, "FLOAT": (int, float), "BOOLEAN": bool, "TIMESTAMP": str}


class BigQueryServer:
    """Datasets of tables, their rows, and jobs that load files of this machine.

    Attributes:
        tables: By ``dataset.table``: the fields of the schema.
        rows: By ``dataset.table``: what was inserted or loaded.
        calls: The method and the path of each request.
        bucket: The folder that stands for the bucket ``gs://bucket``.
        url: Its address.
    """

    bucket = ""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, str]]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[str] = []
        self._jobs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(length) or b"{}")
                path = self.path.partition("?")[0].partition("/projects/")[2]
                with server._lock:
                    server.calls.append(f"{self.command} {path}")
                    status, told = server._do(self.command, path, body)
                text = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, *args: object) -> None:
                """Nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._http.shutdown()
        self._http.server_close()

    def _do(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if found := re.fullmatch(r"([^/]+)/datasets/([^/]+)", path):
            reference = {"projectId": found[1], "datasetId": found[2]}
            return 200, {"datasetReference": reference, "location": "EU"}
        if found := re.fullmatch(r"[^/]+/datasets/([^/]+)/tables/([^/]+)(/insertAll)?", path):
            name = f"{found[1]}.{found[2]}"
            if name not in self.tables:
                return _error(404, "notFound", f"Not found: Table {name}")
            if found[3]:
                return 200, self._insert(name, [one["json"] for one in body["rows"]])
            return 200, self._table(name)
        if found := re.fullmatch(r"[^/]+/datasets/([^/]+)/tables", path):
            name = f"{found[1]}.{body['tableReference']['tableId']}"
            self._create(name, body["schema"]["fields"])
            return 200, self._table(name)
        if method == "POST" and path.endswith("/jobs"):
            return 200, self._load(body)
        if found := re.fullmatch(r"[^/]+/jobs/([^/]+)", path):
            return 200, self._jobs[found[1]]
        return _error(400, "invalid", f"the stand-in does not know {method} {path}")

    def _create(self, name: str, fields: list[dict[str, str]]) -> None:
        self.tables[name] = fields
        self.rows.setdefault(name, [])

    def _table(self, name: str) -> dict[str, Any]:
        dataset, _, table = name.partition(".")
        return {
            "tableReference": {"projectId": "p", "datasetId": dataset, "tableId": table},
            "schema": {"fields": self.tables[name]},
            "numRows": str(len(self.rows[name])),
        }

    def _insert(self, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        wrong = {index: told for index, row in enumerate(rows) if (told := self._wrong(name, row))}
        if not wrong:
            self.rows[name] += rows
            return {}
        # One bad row stops the request: the others are told as such.
        return {
            "insertErrors": [
                {
                    "index": index,
                    "errors": [
                        {"reason": "invalid", "location": "", "message": wrong[index]}
                        if index in wrong
                        else {"reason": "stopped", "location": "", "message": ""}
                    ],
                }
                for index in range(len(rows))
            ]
        }

    def _wrong(self, name: str, row: Mapping[str, Any]) -> str:
        fields = {one["name"]: one for one in self.tables[name]}
        for key, value in row.items():
            if key not in fields:
                return f"no such field: {key}."
            many = fields[key].get("mode") == "REPEATED"
            if value is None:
                if many:
                    return f"Repeated field must be imported as a JSON array: {key}."
                continue
            for one in value if many else [value]:
                if not isinstance(one, _FITS[fields[key]["type"]]):
                    return f"{one!r} is no {fields[key]['type']}: {key}."
        return ""

    def _load(self, job: dict[str, Any]) -> dict[str, Any]:
        load = job["configuration"]["load"]
        target = load["destinationTable"]
        name = f"{target['datasetId']}.{target['tableId']}"
        if name not in self.tables:
            self._create(name, load["schema"]["fields"])
        rows = [
            json.loads(line)
            for file in load["sourceUris"]
            for line in self._read(file).splitlines()
        ]
        wrong = next((told for row in rows if (told := self._wrong(name, row))), "")
        status: dict[str, Any] = {"state": "DONE"}
        if wrong:
            status["errorResult"] = {"reason": "invalid", "message": wrong}
        else:
            self.rows[name] += rows
        told = job | {"id": job["jobReference"]["jobId"], "status": status}
        self._jobs[job["jobReference"]["jobId"]] = told
        return told

    def _read(self, uri: str) -> str:
        return Path(uri.replace("gs://bucket", self.bucket)).read_text(encoding="utf-8")


def _error(status: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    told = {"reason": reason, "message": message}
    return status, {"error": {"code": status, "message": message, "errors": [told]}}
