"""What a picture holds: regions, layers, their edges and what lies behind them."""
