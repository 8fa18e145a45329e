"""What S3 will answer, from a snapshot, without asking it; and why."""

from __future__ import annotations

from pytest_s3vpce.predict.judging import Expected, Prediction, Predictor

__all__ = ["Expected", "Prediction", "Predictor"]
