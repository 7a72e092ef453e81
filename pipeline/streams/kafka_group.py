"""Messages held from a topic of Kafka, as a member of a consumer group.

One ``KafkaGroup`` a process and address. An offset is committed once it and all before it are done,
so that nothing unacknowledged is passed over; what is done out of order, and how often the rest was
delivered, is committed with it (``kafka_offsets``). A message that is given back is delivered again
here, after a pause: Kafka does not do so by itself.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from quorum.core.metrics import BACKLOG
from quorum.pipeline.streams.address import KafkaAddress
from quorum.pipeline.streams.away import ABSENCE_SECONDS
from quorum.pipeline.streams.holding import MAX_HELD, Holding
from quorum.pipeline.streams.kafka_clients import attributes_of, consumer_client, library
from quorum.pipeline.streams.kafka_offsets import DONE, PartitionOffsets
from quorum.pipeline.streams.waiting import Held

__all__ = ["KafkaGroup"]

_log = logging.getLogger(__name__)

#: Seconds that a poll waits for the first message.
_POLL_SECONDS: Final = 0.2
#: Seconds without room after which the group is told so: partitions are paused.
_PAUSE_SECONDS: Final = 2.0
#: Seconds between commits of what was done meanwhile.
_COMMIT_SECONDS: Final = 0.2
#: Seconds between looks at the broker, and for its answer.
_LOOK_SECONDS: Final = 5.0

#: Offsets of a partition behind the first that is not done, beyond which nothing is pulled: all of
#: them may be delivered again.
_MOST_BEHIND: Final = 200_000

#: Seconds after which a message that nothing acknowledges is delivered again.
MAX_HELD_SECONDS = 3_600.0

#: Seconds before a message that was given back is delivered again: doubled each time, up to a most.
_AGAIN_SECONDS = (1.0, 60.0)


class KafkaGroup(Holding):
    """A topic read as one member of a consumer group. See ``Holding``.

    Args:
        path: ``kafka://BROKERS/TOPIC?group=GROUP``.
        max_held: Pulling pauses while this many messages are held.
    """

    def __init__(self, path: str, max_held: int = MAX_HELD) -> None:
        super().__init__(path, max_held)
        self._address = KafkaAddress.parse(path)
        self._offsets: dict[int, PartitionOffsets] = {}
        #: By partition, the number of its assignment, which ids carry: an outcome of a message that
        #: was delivered before the partition was taken away means nothing after.
        self._lives: dict[int, int] = {}
        self._life = itertools.count(1)
        self._again: list[tuple[float, int, Held]] = []
        self._order = itertools.count()
        self._behind = 0
        self._gone_since: float | None = None
        self._error = ""
        self._consumer = consumer_client(
            self._address.brokers, self._address.group, self._failed, self._committed
        )
        self._consumer.subscribe(
            [self._address.topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        self._start(self._pull_ahead, self._commit_on, self._watch)

    def _acknowledge(self, done: Sequence[Held]) -> None:
        with self._lock:
            for held in done:
                if (offsets := self._current(held)) is not None:
                    offsets.done(_place(held)[1])

    def _give_back(self, given_up: Sequence[Held], seconds: float) -> None:
        """See Holding; a worker that stops leaves them to whoever is next."""
        del seconds
        with self._lock:
            for held in given_up:
                if (offsets := self._current(held)) is None:
                    continue
                if self._stopping:
                    offsets.undelivered(_place(held)[1])
                    continue
                first, most = _AGAIN_SECONDS
                wait = min(most, first * 2.0 ** min(held.attempt - 1, 10))
                due = time.monotonic() + wait
                heapq.heappush(self._again, (due, next(self._order), held))

    def _end(self, rest: Sequence[Held], seconds: float) -> None:
        if rest:
            _log.debug("%s: %d messages are left to their next delivery", self.path, len(rest))
        # A broker that is away would hold up the end of the process.
        ending = threading.Thread(target=self._leave, daemon=True)
        ending.start()
        ending.join(seconds)

    def _leave(self) -> None:
        self._commit()
        for thread in self._threads:
            thread.join()
        self._consumer.close()

    def _backlog(self) -> int:
        return self._behind

    def _current(self, held: Held) -> PartitionOffsets | None:
        """The partition of a message, unless it was taken away meanwhile."""
        partition, _ = _place(held)
        if not held.lease.endswith(f"~{self._lives.get(partition, 0)}"):
            return None
        return self._offsets.get(partition)

    def _pull_ahead(self) -> None:
        paused: set[int] = set()
        while not self._draining:
            with self._lock:
                self._lock.wait_for(lambda: self._draining or self._room_here(), _PAUSE_SECONDS)
                room = self._room_here()
            try:
                assigned = {one.partition: one for one in self._consumer.assignment()}
                if room and paused:
                    self._consumer.resume([assigned[each] for each in paused & assigned.keys()])
                    paused = set()
                elif not room and (more := assigned.keys() - paused):
                    # The member must go on polling, or the group takes it for dead.
                    self._consumer.pause([assigned[each] for each in more])
                    paused |= more
                self._hold(self._polled(room or 1, _POLL_SECONDS))
            except library().KafkaException as error:
                self._note_failure(error)
                time.sleep(_POLL_SECONDS)

    def _room_here(self) -> int:
        if self._failure or any(len(one) > _MOST_BEHIND for one in self._offsets.values()):
            return 0
        return self._room()

    def _polled(self, limit: int, wait: float) -> list[Any]:
        first = self._consumer.poll(wait)
        if first is None:
            return []
        more = self._consumer.consume(limit - 1, 0) if limit > 1 else []
        found = []
        for message in (first, *more):
            if (error := message.error()) is None:
                found.append(message)
            else:
                self._failed(error)
        return found

    def _hold(self, messages: Iterable[Any]) -> None:
        now = time.monotonic()
        pulled = []
        with self._lock:
            for message in messages:
                partition, offset = message.partition(), message.offset()
                if (offsets := self._offsets.get(partition)) is None:
                    continue
                attempt = offsets.pulled(offset)
                if attempt == DONE:
                    continue
                lease = f"{partition}-{offset}~{self._lives[partition]}"
                attributes = attributes_of(message.headers())
                pulled.append(
                    self._delivery(lease, attempt, message.value() or b"", attributes, now)
                )
        self._deliver(pulled)

    def _deliver(self, pulled: list[Held]) -> None:
        """Hold messages; that they are delivered is known to the group before they are processed.

        Otherwise a message that kills its worker would be new to each worker.
        """
        if not pulled:
            return
        self._commit()
        if not self._enqueue(pulled):
            self._give_back(pulled, 0.0)

    def _delivery(
        self, lease: str, attempt: int, data: bytes, attributes: dict[str, str], since: float
    ) -> Held:
        """A message of the topic as it is delivered for the so-manieth time."""
        return Held(
            ack_id=f"{lease}~{attempt}",
            data=data,
            attributes=attributes,
            since=since,
            attempt=attempt,
            refusal=self._refusal(attempt),
            lease=lease,
        )

    def _refusal(self, attempt: int) -> str:
        most = self._address.deliveries
        if attempt < most:
            return ""
        return (
            f"delivered {attempt} times without an outcome, of {most} that are allowed: it may be "
            "what ends the workers that process it"
        )

    def _commit_on(self) -> None:
        """Commit what was done, and deliver again what was given back."""
        while not self._wait(_COMMIT_SECONDS):
            for held in self._held_since(time.monotonic() - MAX_HELD_SECONDS):
                _log.error("gave up a message of %s held for too long", self.path)
                self._give_back([held], 0.0)
            self._commit(wait=False)
            self._deliver(self._due())

    def _watch(self) -> None:
        """Look whether the broker is there; a commit may wait for it, so this is by itself."""
        while not self._wait(_LOOK_SECONDS):
            self._look()

    def _wait(self, seconds: float) -> bool:
        """Wait so long, or until it is closed; whether it is."""
        with self._lock:
            return self._lock.wait_for(lambda: self._closed, seconds)

    def _due(self) -> list[Held]:
        """Messages that were given back and are to be delivered again now."""
        now = time.monotonic()
        due = []
        with self._lock:
            while self._again and self._again[0][0] <= now and not self._stopping:
                held = heapq.heappop(self._again)[2]
                if (offsets := self._current(held)) is None:
                    continue
                attempt = offsets.again(_place(held)[1])
                due.append(self._delivery(held.lease, attempt, held.data, held.attributes, now))
        return due

    def _commit(self, partitions: Iterable[int] | None = None, *, wait: bool = True) -> None:
        """Commit what is done; what the broker does not take is tried again.

        Args:
            partitions: Of which partitions; by default of all.
            wait: Whether to wait for the broker's answer.
        """
        kafka = library()
        topic = self._address.topic
        with self._lock:
            which = self._offsets if partitions is None else partitions
            offsets = []
            for each in which:
                if (what := self._offsets[each].to_commit()) is not None:
                    self._offsets[each].committed(what)
                    offsets.append(kafka.TopicPartition(topic, each, *what))
        if not offsets:
            return
        try:
            answer = self._consumer.commit(offsets=offsets, asynchronous=not wait)
        except (kafka.KafkaException, RuntimeError) as error:
            self._committed(error, offsets)
        else:
            self._committed(None, answer or ())

    def _committed(self, error: Any, partitions: Iterable[Any]) -> None:
        """What was committed, or could not be, and is then to be committed again."""
        failed = [one for one in partitions if error is not None or one.error is not None]
        if not failed:
            return
        _log.debug("could not commit to %s: %s", self.path, error or failed[0].error)
        with self._lock:
            for one in failed:
                if (offsets := self._offsets.get(one.partition)) is not None:
                    offsets.committed(None)

    def _look(self) -> None:
        """Note whether the broker answers, whether the topic is there, and how much waits."""
        kafka = library()
        topic = self._address.topic
        try:
            known = self._consumer.list_topics(topic, timeout=_LOOK_SECONDS).topics[topic]
        except (kafka.KafkaException, RuntimeError) as error:
            self._note_failure(error)
            return
        if known.error is not None and known.error.code() in (
            kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
            kafka.KafkaError._UNKNOWN_TOPIC,
        ):
            self._note_gone(known.error)
            return
        self._failing, self._gone_since, self._error = None, None, ""
        behind = 0
        with self._lock:
            firsts = {each: one.first for each, one in self._offsets.items()}
        for partition, first in firsts.items():
            where = kafka.TopicPartition(topic, partition)
            try:
                low, high = self._consumer.get_watermark_offsets(where, timeout=_LOOK_SECONDS)
            except (kafka.KafkaException, RuntimeError) as error:
                self._note_failure(error)
                return
            behind += max(0, high - max(low, first or 0))
        self._behind = behind
        BACKLOG.labels(stream=self._address.topic).set(behind)

    def _note_gone(self, error: Any) -> None:
        now = time.monotonic()
        self._note_failure(error)
        if self._gone_since is None:
            self._gone_since = now
        elif now - self._gone_since >= ABSENCE_SECONDS:
            with self._lock:
                self._failure = (
                    f"the topic {self._address.topic} is gone, for {ABSENCE_SECONDS:g} s by now "
                    "(`quorum topics create` makes what a deployment needs)"
                )
                self._lock.notify_all()

    def _note_failure(self, error: Any) -> None:
        if self._draining:
            return
        told = " ".join(str(error).split())
        told = f"{told}; {self._error}" if self._error and self._error not in told else told
        since = self._failing[0] if self._failing else time.monotonic()
        if self._failing is None:
            _log.warning("could not pull from %s, tried again: %s", self.path, told)
        self._failing = since, told

    def _failed(self, error: Any) -> None:
        """An error of the connection, of which librdkafka tells; it goes on by itself."""
        self._error = error.str()
        _log.debug("%s: %s", self.path, self._error)

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        """Begin where the group is, with what it knows of deliveries."""
        kafka = library()
        try:
            known = consumer.committed(partitions, timeout=30.0)
        except kafka.KafkaException as error:
            _log.warning("%s: what was delivered before cannot be had: %s", self.path, error)
            known = partitions
        for each in known:
            self._tell_of_gap(consumer, each)
        with self._lock:
            for each in known:
                offset = each.offset if each.offset >= 0 else None
                self._offsets[each.partition] = PartitionOffsets(offset, each.metadata or "")
                self._lives[each.partition] = next(self._life)
        consumer.incremental_assign(known)
        _log.info("%s: reads partitions %s", self.path, sorted(one.partition for one in known))

    def _tell_of_gap(self, consumer: Any, begin: Any) -> None:
        try:
            low, _ = consumer.get_watermark_offsets(begin, timeout=_LOOK_SECONDS)
        except library().KafkaException:
            return
        if 0 <= begin.offset < low:
            _log.error(
                "%s: %d offsets of partition %d are not there any more: what they held was deleted "
                "before it was read (the topic's retention)",
                self.path,
                low - begin.offset,
                begin.partition,
            )

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        """Another member reads them from now on: commit what is done, and hold the rest no more."""
        self._commit([one.partition for one in partitions if one.partition in self._offsets])
        self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        """The group has given them to another member already: nothing can be committed."""
        self._forget(partitions)
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[Any]) -> None:
        gone = {one.partition for one in partitions}
        with self._lock:
            for held in [one for one in self._held.values() if _place(one)[0] in gone]:
                self._drop(held)
            kept = [one for one in self._queue.clear() if one.ack_id in self._held]
            self._queue.add(kept)
            for each in gone:
                self._offsets.pop(each, None)
                self._lives.pop(each, None)
            self._lock.notify_all()
        _log.info("%s: reads partitions %s no more", self.path, sorted(gone))


def _place(held: Held) -> tuple[int, int]:
    """The partition and the offset of a message."""
    partition, _, offset = held.lease.partition("~")[0].partition("-")
    return int(partition), int(offset)
