"""What Terraform says of a failure, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_s3vpce.lab.terraform import _Runner

ELSEWHERE = """
Error: Failed to query available provider packages

Could not retrieve the list of available versions for provider
hashicorp/aws: could not connect to registry.terraform.io

To see which modules are currently depending on hashicorp/aws and what
versions are specified, run the following command:
    terraform providers
"""
IN_THE_MODULE = """
Error: Reference to undeclared resource

  on main.tf line 2, in output "A":
   2:   value = nothing.here

A managed resource "nothing" "here" has not been declared in the root module.
"""


UNREACHED = (
    "infra: terraform init failed: Failed to query available provider packages: Could not retrieve the list of "
    "available versions for provider hashicorp/aws: could not connect to registry.terraform.io"
)
UNDECLARED = (
    "infra/main.tf:2: terraform init failed: Reference to undeclared resource: A managed resource "
    '"nothing" "here" has not been declared in the root module.'
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ELSEWHERE, UNREACHED),
        (IN_THE_MODULE, UNDECLARED),
        ("it crashed", "infra: terraform init failed: it crashed"),
    ],
)
def test_the_reason_is_told_and_not_what_to_do_besides(text: str, told: str) -> None:
    runner = object.__new__(_Runner)
    runner._module = Path("infra")
    assert str(runner._failure("init", status=1, text=text)) == told
