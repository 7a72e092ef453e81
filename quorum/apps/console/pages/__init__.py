"""The console's pages: one module per page, which reads requests and renders HTML."""
