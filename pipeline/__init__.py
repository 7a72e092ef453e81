"""The graph: uploads in, verdicts out, on Apache Beam."""
