"""The inventory that docs/principals.md prints is one, and its table tells every kind."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.signers import Principal

PAGE = (Path(__file__).parent.parent.parent / "docs" / "principals.md").read_text(encoding="utf-8")


def test_the_example_is_an_inventory_with_every_setting(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "s3vpce.yaml"
    path.write_text(text, encoding="utf-8")
    found = load_inventory(path).principals
    assert found["link"].presigned is not None
    assert (found["link"].presigned.age, found["link"].presigned.expires) == (900, 3600)
    given = set().union(*(row.model_fields_set for row in found.values()))
    assert set(Principal.model_fields) - given == {"account", "ambient", "send_credentials_in_clear"}
    for kind in ("role", "profile", "keys", "anonymous", "ambient", "presigned"):
        assert f"| `{kind}` |" in PAGE
