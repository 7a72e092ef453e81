"""A policy examined: check, backtest, tune, fit, drift, explain."""
