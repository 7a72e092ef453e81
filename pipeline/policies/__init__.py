"""The policies that are released while jobs run, and how each process follows them."""
