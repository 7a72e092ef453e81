"""An edit on the real emulator and Prism: fused, and after a job was killed without its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorum.core.messages import Action, Upload
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, Streams, fused, wait_until
from tests.pipeline.test_stream_job import NICE, SPAM

pytestmark = [pytest.mark.emulator, pytest.mark.prism, pytest.mark.timeout(300)]

FIRST = upload("edited", title=SPAM)
EDIT = upload("edited", title=NICE, published_at="2026-01-31T12:01:00Z")
#: Behind it in the stream: its verdict says that what is before it was processed.
LAST = upload("last", title=NICE)


def of(data: bytes) -> str:
    return Upload.from_bytes(data).digest


@pytest.mark.long
def test_an_edit_supersedes_and_an_old_message_does_not_undo_it(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()

    def verdicts(name: str) -> list[str | None]:
        streams.listen()
        return [one.digest for one in streams.verdicts if one.upload_id == name]

    def await_content(content: str, job: Job) -> None:
        wait_until(lambda: content in verdicts("edited"), 90, job.log)

    with fused(streams, tmp_path) as job:
        streams.publish("uploads", [FIRST])
        await_content(of(FIRST), job)
        streams.publish("uploads", [EDIT])
        await_content(of(EDIT), job)
        streams.publish("uploads", [FIRST, LAST])
        streams.await_verdicts({"last"}, job)
        first, second = (one for one in streams.verdicts if one.upload_id == "edited")
        assert (second.digest, second.action) == (of(EDIT), Action.ALLOW)
        assert (second.revision, second.supersedes) == (2, first.id)
        assert first.action is not Action.ALLOW
        assert {one.id for one in first.predictions}.isdisjoint(
            one.id for one in second.predictions
        )
        job.kill()
    # The state is gone: an old message that is delivered again is decided as if it were the first.
    streams.publish("uploads", [FIRST])
    with fused(streams, tmp_path) as job:
        wait_until(lambda: verdicts("edited").count(of(FIRST)) == 2, 90, job.log)
        made = [one for one in streams.verdicts if one.upload_id == "edited"]
        assert max(made, key=lambda one: one.order).digest == of(EDIT)
        assert job.stop() == 0, job.log()
