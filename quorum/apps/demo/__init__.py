"""The demo: shipped uploads become verdicts, on a real stream where this machine has one."""
