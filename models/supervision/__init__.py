"""Features and detectors in supervised child processes, with budgets of time and memory."""
