"""``quorum catalogue keep`` and ``rescan``: find later works in earlier uploads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import load_policy
from quorum.apps.cli.catalogue_options import Folder, InDatabase
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Message, Prediction, Verdict, now
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.detector import CopyrightDetector
from quorum.pipeline.capped import count_capped
from quorum.store.histories import history_before
from quorum.store.ledger import Ledger

__all__ = ["keep", "rescan", "superseding"]

#: Batch size of publishing and recording.
_TOGETHER = 200


def keep(
    days: Annotated[float, typer.Option(min=0.0, help="Retention in days.")] = 30.0,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Let detectors keep the fingerprints of uploads, to find later works in them.

    Example: quorum catalogue keep --days 90
    """
    Catalogue(catalogue, database).keep_uploads(days)
    typer.echo(f"fingerprints of uploads are kept for {days:g} days")


def rescan(
    predictions: Annotated[
        str | None,
        typer.Option(
            help="Topic or .jsonl file for predictions; default, without --ledger: stdout.",
            show_default=False,
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            help="Decide the past cases of this ledger again, and record changes; `-` for "
            "QUORUM_DATABASE.",
            show_default=False,
        ),
    ] = None,
    verdicts: Annotated[
        str | None,
        typer.Option(
            help="Topic or .jsonl file for superseding verdicts; requires --ledger.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[str, typer.Option(help="Policy for --ledger.")] = "balanced",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report changes.")] = False,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Compare kept uploads with the current works, and publish changed results.

    With --ledger, each changed case is decided again as with a late prediction: a changed action
    is published and recorded as a superseding verdict. Decisions of reviewers stay. Without
    --ledger, only the predictions are published: a stream treats them as late predictions while
    its policy retains the cases, if they are signed by the publisher of its detectors. Results
    that could not be published are published by the next run.

    \b
    quorum catalogue rescan --dry-run --ledger -
    quorum catalogue rescan --ledger - --verdicts projects/P/topics/quorum-verdicts
    """
    if verdicts is not None and ledger is None:
        msg = "superseding verdicts require the past cases of a ledger; add --ledger"
        raise ConfigurationError(msg)
    detector = CopyrightDetector(catalogue, database)
    changed, changes = 0, Counter[tuple[str, str]]()
    past = Ledger(None if ledger == "-" else ledger) if ledger is not None else None
    try:
        decider = Decider(load_policy(policy), on_capped=count_capped)
        found = detector.rescan()
        while chunk := list(islice(found, _TOGETHER)):
            made = list(_decided(decider, past, chunk)) if past is not None else []
            changed += len(chunk)
            changes.update((before, verdict.action.value) for before, verdict in made)
            if dry_run:
                continue
            if predictions is not None:
                _publish(chunk, predictions)
            elif past is None:
                for each in chunk:
                    typer.echo(each.to_bytes().decode())
            superseded = [verdict for _, verdict in made]
            if verdicts is not None and superseded:
                _publish(superseded, verdicts)
            if past is not None:
                past.record([*chunk, *superseded])
            detector.mark_published(chunk)
    finally:
        if past is not None:
            past.close()
        detector.close()
    for (before, after), count in changes.most_common():
        typer.echo(f"{before} -> {after}: {count:,}", err=True)
    note = " (dry run: nothing was published)" if dry_run else ""
    typer.echo(f"{changed} uploads have changed results{note}", err=True)


def superseding(
    decider: Decider, ledger: Ledger, prediction: Prediction
) -> tuple[str, Verdict] | None:
    """The current action, and the superseding verdict after a late prediction.

    Args:
        decider: Decides, under its cap.
        ledger: The ledger with the case.
        prediction: The late prediction.

    Returns:
        None if the ledger has no verdict to supersede, the upload was edited since, or the action
        stays.
    """
    case = ledger.get_case(prediction.upload_id)
    if case is None or case.upload is None or case.verdict is None or case.awaits_decision:
        return None
    first = min(verdict.at for verdict in case.verdicts)
    verdict = decider.again(
        case.upload,
        (*case.predictions, prediction),
        case.counted_reviews,
        case.verdict,
        at=now(),
        uploader=history_before(ledger, decider.policy, case.upload, first),
        earlier=case.verdicts,
    )
    return None if verdict is None else (case.verdict.action.value, verdict)


def _decided(
    decider: Decider, ledger: Ledger, predictions: Sequence[Prediction]
) -> Iterator[tuple[str, Verdict]]:
    for prediction in predictions:
        found = superseding(decider, ledger, prediction)
        if found is not None:
            yield found


def _publish(messages: Sequence[Message], address: str) -> None:
    from quorum.pipeline.publish import publish

    publish(messages, address, "/quorum/catalogue")
