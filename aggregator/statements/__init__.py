"""What uploaders are told, one file a language."""
