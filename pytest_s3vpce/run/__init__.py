"""The access run: plan, one batch per vantage point, deliver."""
