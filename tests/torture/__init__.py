"""Long attacks on what the project promises; `make torture` runs them all."""
