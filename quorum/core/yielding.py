"""A process that lets others go before it where there are not processors for all."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import suppress
from typing import Final

__all__ = ["let_others_go_first"]

#: A third of the time of another process where both want a processor; all of it where none does.
_NICE: Final = 5

#: Nanoseconds that it asks to run at once, the most that Linux grants. One that asks for less takes
#: the processor from it as soon as it wakes; else it waited for the end of a slice, at each of the
#: steps of an upload.
_SLICE: Final = 100_000_000

#: ``sched_setattr(2)``, which libc has no function for.
_NUMBERS: Final = {"x86_64": 314, "aarch64": 274}

#: ``struct sched_attr``: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")


def let_others_go_first() -> None:
    """Be nicer to other processes than before, from now on and for ever.

    It still has its share: what takes only what others leave (``SCHED_IDLE``) would stand still on
    a machine that is always busy.
    """
    nice = min(19, os.nice(0) + _NICE)
    if (number := _NUMBERS.get(platform.machine())) is not None:
        given = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, nice, 0, _SLICE, 0, 0)
        with suppress(OSError, AttributeError):
            if ctypes.CDLL(None).syscall(number, 0, given, 0) == 0:
                return
    with suppress(OSError):
        os.nice(_NICE)
