"""The console's users, permissions, sessions, request security and audit log."""
