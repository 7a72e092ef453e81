"""``quorum catalogue keep`` and ``rescan``: later works find earlier uploads."""

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
from quorum.store.histories import history_before
from quorum.store.ledger import Ledger

__all__ = ["keep", "rescan", "superseding"]

#: Predictions that are published and recorded together.
_TOGETHER = 200


def keep(
    days: Annotated[float, typer.Option(min=0.0, help="For how long.")] = 30.0,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Let detectors keep the fingerprints of uploads, so that later works can find them.

    Example: quorum catalogue keep --days 90
    """
    Catalogue(catalogue, database).keep_uploads(days)
    typer.echo(f"fingerprints of uploads are kept for {days:g} days")


def rescan(
    predictions: Annotated[
        str | None,
        typer.Option(
            help="Topic or .jsonl file for the predictions; without it and a ledger, the output.",
            show_default=False,
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            help="Decide the past cases of this ledger again, and record what changes; `-` for "
            "QUORUM_DATABASE.",
            show_default=False,
        ),
    ] = None,
    verdicts: Annotated[
        str | None,
        typer.Option(
            help="Topic or .jsonl file for the superseding verdicts, with --ledger.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[str, typer.Option(help="Decides, with --ledger.")] = "balanced",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what changes.")] = False,
    catalogue: Folder = Path("catalogue"),
    database: InDatabase = None,
) -> None:
    """Compare kept uploads with the works of today, and publish what is new.

    With --ledger, each case of which something new is said is decided again, as by a late
    prediction: an action that changes is a superseding verdict, published and recorded. What a
    reviewer decided stays. Without, the predictions alone are published: a stream takes them for
    late ones for as long as its policy retains cases. What could not be published is told again
    the next time.

    \b
    quorum catalogue rescan --dry-run --ledger -
    quorum catalogue rescan --ledger - --verdicts projects/P/topics/quorum-verdicts
    """
    if verdicts is not None and ledger is None:
        msg = "verdicts are made from the past cases of a ledger: name it with --ledger"
        raise ConfigurationError(msg)
    detector = CopyrightDetector(catalogue, database)
    said, changes = 0, Counter[tuple[str, str]]()
    past = Ledger(None if ledger == "-" else ledger) if ledger is not None else None
    try:
        decider = Decider(load_policy(policy))
        found = detector.rescan()
        while chunk := list(islice(found, _TOGETHER)):
            made = list(_decided(decider, past, chunk)) if past is not None else []
            said += len(chunk)
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
    told = " (a dry run: nothing was published)" if dry_run else ""
    typer.echo(f"{said} uploads have something new{told}", err=True)


def superseding(
    decider: Decider, ledger: Ledger, prediction: Prediction
) -> tuple[str, Verdict] | None:
    """The action that holds, and the verdict that a late prediction changes it to.

    Args:
        decider: Decides, under its cap.
        ledger: Holds the case.
        prediction: The new prediction.

    Returns:
        None where the ledger knows no verdict to supersede, or the action stays.
    """
    case = ledger.get_case(prediction.upload_id)
    if case is None or case.upload is None or case.verdict is None:
        return None
    first = min(verdict.at for verdict in case.verdicts)
    verdict = decider.again(
        case.upload,
        (*case.predictions, prediction),
        case.reviews,
        case.verdict,
        at=now(),
        uploader=history_before(ledger, decider.policy, case.upload, first),
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
    import apache_beam as beam

    from quorum.pipeline.streams import sink
    from quorum.pipeline.streams.base import Outgoing

    with beam.Pipeline(runner="DirectRunner") as pipeline:
        _ = (
            pipeline
            | "Messages" >> beam.Create([Outgoing(messages=(one,)) for one in messages])
            | "Publish" >> sink(address, origin="/quorum/catalogue").transform()
        )
