"""What S3 will answer, from a snapshot, without asking it; and why."""

from __future__ import annotations

from pytest_s3vpce.predict.culprits import Subject
from pytest_s3vpce.predict.judging import Prediction, Predictor
from pytest_s3vpce.predict.telling import Blame, Telling, tell

__all__ = ["Blame", "Prediction", "Predictor", "Subject", "Telling", "tell"]
