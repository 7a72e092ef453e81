"""What people and programs start: the command line, the web service, the console, the demo."""
