"""Fills each CSV part of the template with figures, cell by cell."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from quorum.core.intervals import wilson
from quorum.store.transparency.report import NEEDS_A_PERSON, Gap, Service, TransparencyReport
from quorum.store.transparency.template import (
    ALL,
    CATEGORIES,
    COMPLAINT_SCOPES,
    HOSTING,
    NOTICE_FIGURES,
    OWN_FIGURES,
    PARTS,
    PLATFORMS,
    QUALITATIVE,
    TOTAL,
    VERY_LARGE,
)
from quorum.store.transparency.values import (
    Complaints,
    Figures,
    Measures,
    Notices,
    Share,
    merged,
)

__all__ = ["build"]

_HOURS: Final = "in hours"


def build(figures: Figures, service: Service) -> TransparencyReport:
    """Fill the parts.

    Args:
        figures: The counts.
        service: Who reports.
    """
    made = _Parts(figures, service)
    made.identification()
    made.categories()
    made.orders()
    made.notices()
    made.own_initiative("5_own_initiative_illegal", "law")
    made.own_initiative("6_own_initiative_TC", "terms")
    made.appeals()
    made.automated()
    made.people()
    made.qualitative()
    return TransparencyReport({part: tuple(made.rows[part]) for part in PARTS}, tuple(made.gaps))


class _Parts:
    """The parts while they are filled."""

    def __init__(self, figures: Figures, service: Service) -> None:
        self._figures = figures
        self._service = service
        self.rows: dict[str, list[tuple[str, ...]]] = {part: [] for part in PARTS}
        self.gaps: list[Gap] = []
        since, until = figures.asked.period.since, figures.asked.period.until
        assert since is not None
        assert until is not None
        self._first, self._last = since.date(), (until - timedelta(microseconds=1)).date()
        self._period = f"{self._first.isoformat()}/{self._last.isoformat()}"

    def _gap(self, part: str, row: str, column: str, why: str) -> str:
        self.gaps.append(Gap(part, row, column, why))
        return NEEDS_A_PERSON

    def identification(self) -> None:
        """Part 1."""
        part = "1_report_identification"

        def day(value: date) -> str:
            return value.isoformat()

        why = "the day on which you publish it"
        last = "of your own earlier report"
        for indicator, value in (
            ("Name of the service provider", self._service.provider),
            (
                "Date of the publication of the report",
                self._gap(part, "Date of the publication of the report", "Value", why),
            ),
            (
                "Date of the publication of the latest previous report",
                self._gap(
                    part, "Date of the publication of the latest previous report", "Value", last
                ),
            ),
            ("Starting date of reporting period", day(self._first)),
            ("Ending date of reporting period", day(self._last)),
        ):
            self.rows[part].append((ALL, self._service.service, indicator, value))

    def categories(self) -> None:
        """Part 2: the statement categories, and what the counts leave out."""
        asked = self._figures.asked
        told = [
            "Counted from the moderation ledger; sub-categories (keywords) are not recorded there."
        ]
        if asked.language:
            told.append(f"Uploads in the language {asked.language} alone.")
        if asked.territory:
            told.append(f"Uploads shown in {asked.territory.upper()} alone.")
        if self._figures.unnamed:
            names = ", ".join(sorted(self._figures.unnamed))
            told.append(f"Categories unknown to the policy, counted as other violations: {names}.")
        first = self._figures.first_verdict
        if first is not None and first.date() > self._first:
            told.append(f"The ledger has no verdict from before {first.date().isoformat()}.")
        self.rows["2_categories_names"].append((TOTAL, "All categories", TOTAL, " ".join(told)))
        for name in CATEGORIES:
            label = name.removeprefix("STATEMENT_CATEGORY_").replace("_", " ").capitalize()
            self.rows["2_categories_names"].append((label, "", name, ""))

    def orders(self) -> None:
        """Part 3: orders of Member States reach the provider, not the ledger."""
        part = "3_member_states_orders"
        why = "orders of authorities are not recorded in the ledger"
        for name in (TOTAL,):
            figures = [self._gap(part, name, column, why) for column in PARTS[part][6:13]]
            lead = (ALL, self._service.service, self._period, name, "", "Total")
            self.rows[part].append((*lead, *figures, *("" for _ in figures)))

    def notices(self) -> None:
        """Part 4."""
        part, found = "4_notices", self._figures
        for name in (TOTAL, *CATEGORIES):
            every, trusted = (
                merged(kind.values()) if name == TOTAL else kind.get(name, Notices())
                for kind in (found.notices, found.trusted)
            )
            values = (
                every.received,
                trusted.received,
                len(every.items),
                len(trusted.items),
                _number(every.median),
                _number(trusted.median),
                len(every.on_law),
                len(trusted.on_law),
                len(every.on_terms),
                len(trusted.on_terms),
            )
            context = ["" for _ in NOTICE_FIGURES]
            if name == TOTAL:
                context[0] = "Notices of illegal content; reports of rule violations are not."
                context[4] = f"{_HOURS}, of {len(every.hours):,} decided notices"
                context[5] = f"{_HOURS}, of {len(trusted.hours):,} decided notices"
            lead = (HOSTING, self._service.service, self._period, name, "")
            self.rows[part].append((*lead, *map(str, values), *context))

    def own_initiative(self, part: str, ground: str) -> None:
        """Parts 5 and 6."""
        found = self._figures
        for name in (TOTAL, *CATEGORIES):
            own = found.own_total(ground) if name == TOTAL else found.own.get((ground, name))
            own = own or Measures()
            limited = "0" if own.restricted == 0 else ""
            kinds = "the platform decides what `restrict` does: demoted, aged, labelled or other"
            money = "the ledger does not know what the platform does to payments and services"
            values = [str(own.total), str(own.detected), str(own.removed), str(own.disabled)]
            for column in OWN_FIGURES[4:8]:
                values.append(limited or self._gap(part, name, column, kinds))
            values.append(str(own.restricted))
            for column in OWN_FIGURES[9:14]:
                values.append("0" if own.total == 0 else self._gap(part, name, column, money))
            values.append(str(own.suspended))
            ended = (
                "no account was banned in the console; whether one was closed the platform knows"
            )
            closed = str(own.ended) if own.ended or own.total == 0 else ""
            values.append(closed or self._gap(part, name, OWN_FIGURES[15], ended))
            context = ["" for _ in OWN_FIGURES]
            if name == TOTAL:
                context[0] = (
                    "A revision that repeats an action is no new measure; measures on notices of "
                    "illegal content are not here."
                )
                context[8] = "All measures of the kind `restrict`; move them to their columns."
            lead = (ALL, self._service.service, self._period, name, "")
            self.rows[part].append((*lead, *values, *context))

    def _indicated(
        self,
        part: str,
        who: str,
        section: str,
        indicator: str,
        scope: str,
        value: str,
        context: str = "",
    ) -> None:
        row = (who, self._service.service, self._period, section, indicator, scope, value, context)
        self.rows[part].append(row)

    def appeals(self) -> None:
        """Part 7."""
        part, found = "7_appeals_and_recidivism", self._figures
        section = "Internal complaints mechanism"
        for indicator in (
            "Number of complaints submitted to the internal-complaints mechanism",
            (
                "Complaint regarding a decision to remove or disable access to or restrict "
                "visibility of information"
            ),
        ):
            values = _by_scope(found.complaints)
            for scope in COMPLAINT_SCOPES:
                context = f"{_HOURS}" if scope == "Median time" else ""
                if scope == "Decision omitted":
                    context = "not decided yet"
                self._indicated(part, PLATFORMS, section, indicator, scope, values[scope], context)
        no_action = "complaints about notices without action reach the platform, not the ledger"
        for indicator in (
            (
                "Complaint regarding a decision not to take action on a notice submitted in "
                "accordance with Article 16"
            ),
            (
                "Complaint regarding a decision not to take action on a notice submitted by a "
                "Trusted Flagger in accordance with Article 16"
            ),
        ):
            for scope in COMPLAINT_SCOPES:
                value = self._gap(part, indicator, scope, no_action)
                self._indicated(part, PLATFORMS, section, indicator, scope, value)
        section = "Out-of-court dispute settlement bodies"
        indicator = "Number of disputes submitted to out-of-court dispute settlement bodies"
        why = "disputes before certified bodies are not recorded in the ledger"
        for scope in (*COMPLAINT_SCOPES, "Percentage of outcomes implemented"):
            value = self._gap(part, indicator, scope, why)
            self._indicated(part, PLATFORMS, section, indicator, scope, value)
        section = "Suspensions imposed on repeated offenders"
        start = "Number of suspensions enacted for the provision of manifestly"
        suspended = found.all_measures.suspended
        for indicator, value, context in (
            (
                f"{start} illegal content",
                self._gap(
                    part,
                    f"{start} illegal content",
                    "Total number",
                    "whether the content was manifestly illegal is a person's judgement",
                ),
                f"{suspended:,} accounts were suspended in the period, for any ground",
            ),
            (f"{start} unfounded notices", str(found.unfounded), ""),
            (
                f"{start} unfounded complaints",
                self._gap(
                    part,
                    f"{start} unfounded complaints",
                    "Total number",
                    "the ledger suspends nobody for complaints",
                ),
                "",
            ),
        ):
            self._indicated(part, PLATFORMS, section, indicator, "Total number", value, context)

    def automated(self) -> None:
        """Part 8."""
        part, found = "8_automated_means", self._figures
        section = "Use of automated means for content moderation"
        own = found.own_total("law")
        own.add(found.own_total("terms"))
        for scope, one in (("Total number", found.all_measures), ("Own-initiative", own)):
            for indicator, value in (
                ("Number of measures solely taken by automated means", one.solely_automated),
                (
                    "Number of measures not taken by automated means",
                    one.total - one.solely_automated,
                ),
            ):
                self._indicated(part, ALL, section, indicator, scope, str(value))
        for scope, who, kind in (
            ("NAM Total", HOSTING, found.notices),
            ("NAM Trusted Flagger", PLATFORMS, found.trusted),
        ):
            every = merged(kind.values())
            for indicator, value in (
                ("Number of notices solely processed by automated means", every.automated),
                ("Number of notices not processed by automated means", every.by_person),
            ):
                self._indicated(part, who, section, indicator, scope, str(value))
        accuracy = "Accuracy of the automated means - "
        drawn = "uploads drawn at random that a person decided, weighted by their probability"
        looked = (
            "automated measures that a person looked at afterwards: appeals, reviews of held and "
            "drawn uploads; not a random sample"
        )
        for name, estimate, basis in (
            ("Accuracy", found.accuracy, drawn),
            ("Precision", found.precision, looked),
            ("Recall", found.recall, drawn),
        ):
            indicator = f"{accuracy}{name}"
            told = _share(estimate)
            if not told:
                hint = (
                    "draw uploads with `quorum models sample` and decide them"
                    if basis is drawn
                    else "no person looked at an automated measure of the period"
                )
                told = self._gap(part, indicator, "Total number", hint)
            context = f"of {estimate.looked_at:,} {basis}"
            if estimate.value is not None and basis is looked:
                low, high = wilson(round(estimate.value * estimate.looked_at), estimate.looked_at)
                context += f"; 95 % interval {low:.3f} to {high:.3f}"
            self._indicated(part, ALL, section, indicator, "Total number", told, context)

    def people(self) -> None:
        """Parts 9 and 10: the provider's head count and its recipients."""
        part, section = "9_human_resources", "Human resources dedicated to content moderation"
        reviewers = f"{self._figures.reviewers:,} persons decided in the period (no head count)"
        for indicator in (
            "Number of internal moderators employed by the provider",
            "Number of external moderators contracted by the provider",
            "Number of total moderators with sufficient linguistic expertise",
        ):
            value = self._gap(part, indicator, "Total number", "the provider knows its people")
            self._indicated(part, VERY_LARGE, section, indicator, "Total number", value, reviewers)
        part = "10_AMAR"
        indicator = "Average monthly active recipients"
        value = self._gap(part, indicator, "Total", "the platform knows its recipients")
        self._indicated(part, VERY_LARGE, indicator, indicator, "Total", value)

    def qualitative(self) -> None:
        """Part 11."""
        part = "11_qualitative"
        detectors = ", ".join(self._figures.detectors) or "none"
        for indicator in QUALITATIVE:
            value = self._gap(part, indicator, "Value", "a description in words")
            if indicator == "Qualitative description of the automated means":
                value += f" (detectors that made predictions in the period: {detectors})"
            self.rows[part].append((ALL, self._service.service, self._period, indicator, value))


def _by_scope(found: Complaints) -> dict[str, str]:
    return {
        "Total number": str(found.total),
        "Decisions upheld": str(found.upheld),
        "Decisions partially reversed": str(found.partly),
        "Decisions reversed": str(found.reversed),
        "Decision omitted": str(found.omitted),
        "Median time": _number(found.hours),
    }


def _number(value: float | None) -> str:
    """A number of hours; empty where nothing was decided, which is no time of zero."""
    return "" if value is None else f"{value:.2f}"


def _share(share: Share) -> str:
    return "" if share.value is None else f"{share.value:.4f}"
