"""Where models come from: artifacts, references, MLflow."""
