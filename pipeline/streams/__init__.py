"""Streams: where messages come from and go to.

An address names a stream: ``projects/P/subscriptions/S`` and ``projects/P/topics/T`` are
Google Pub/Sub's, ``kafka://BROKERS/TOPIC`` is Kafka's, anything that ends in ``.jsonl`` (or starts
with ``file:``) is a file of JSON lines. ``source`` and ``sink`` of ``open`` make the transform that
fits the address.
"""
