"""What every HTTP application here shares: the server, error responses, API keys."""
