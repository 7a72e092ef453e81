"""The page of the transparency report, and its CSV parts."""

from __future__ import annotations

import io
import zipfile

from quorum.apps.console.accounts import audit
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case


def test_the_page_shows_the_figures_and_leads_export_them(cases: Ledger, serve) -> None:
    record_case(cases, 80, action=Action.REMOVE, category="spam", decided_by="policy")
    console = serve()
    assert "Counted from the ledger" in console("eve").get("/transparency").text
    page = console("eve").get("/transparency?first=2020-01-01").text
    assert "cells need a person" in page
    assert "other violation tc" in page
    assert "No notices" in page
    wrong = console("eve").get("/transparency?first=x&territory=Q1")
    assert wrong.status_code == 200
    assert "two letters" in wrong.text
    assert console("ana").get("/transparency.zip").status_code == 403
    answer = console("lea").get("/transparency.zip?service=Clips")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert len(archive.namelist()) == 12
        assert b"Clips" in archive.read("6_own_initiative_TC.csv")
    assert audit.newest(cases)[0].event == "transparency.exported"
