"""Measurements of the stream on a Flink cluster of this machine, beside Prism and a plain loop."""
