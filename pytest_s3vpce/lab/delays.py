"""How long the lab takes for what AWS takes a while for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """In seconds."""

    records: float = 0.5
    """Until what trails and access logs saw is written; at AWS minutes, or hours:
    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html"""
    functions: float = 0.0
    """Until a new function is Active, or a change of one is through:
    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html"""


USUAL = Delays()
