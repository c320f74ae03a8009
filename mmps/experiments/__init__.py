"""Many trainings and tests; what a network costs, and what it heeds."""
