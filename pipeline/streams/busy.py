"""An output for stages that have none, because Prism waits busily for those.

Prism waits for the outputs of a bundle and for its end in one loop. Once all outputs of a stage are
there, which is at once where it has none, that loop asks again and again until the bundle ends, on
a processor of its own. A source that waits for its next message would cost one all the time, and a
sink one while it publishes.
"""

from __future__ import annotations

from typing import TypeVar

import apache_beam as beam

__all__ = ["awaited_calmly"]

T = TypeVar("T")


def awaited_calmly(made: beam.PCollection[T], label: str) -> beam.PCollection[T]:
    """Give the stage that makes a collection an output that ends with its bundle.

    A Flatten is a stage of its own in Prism, so that its input crosses from one to the other. That
    output is closed after the step that makes it has finished its bundle.

    Args:
        made: The collection; it may have no elements.
        label: Names the step.
    """
    crossed: beam.PCollection[T] = (made,) | label >> beam.Flatten()
    return crossed
