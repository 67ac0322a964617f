"""How good a reward model is: metrics, intervals, learning curves, comparisons of designs, forecasts."""
