"""Analysis of policies on past cases: check, backtest, tune, fit, drift, explain."""
