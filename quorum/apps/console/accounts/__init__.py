"""Who may do what in the console: users, sessions, the audit log."""
