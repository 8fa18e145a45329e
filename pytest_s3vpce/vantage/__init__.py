"""The vantage room."""
