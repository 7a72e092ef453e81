"""Alerts: rates against their own weekly pattern, the episodes in which they left it."""
