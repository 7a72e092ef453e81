"""Flink: what a job needs of a cluster, and Beam's job server that hands it over."""
