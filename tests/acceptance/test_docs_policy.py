"""What docs/policy.md says of the engine is so: its Python prints what it says, its file is explained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from pytest_s3vpce.cli import main

PAGE = (Path(__file__).parent.parent.parent / "docs" / "policy.md").read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_prints_what_the_page_says() -> None:
    (code,) = _blocks("python")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert f"```\n{done.stdout}```" in PAGE


def test_a_file_with_names_of_files_is_explained(tmp_path: Path) -> None:
    (request,) = _blocks("json")
    (tmp_path / "request.json").write_text(request, encoding="utf-8")
    (document,) = re.findall(r"parse\(\s*(\{.*?\}),\s*name=\"reports\"", _blocks("python")[0], re.DOTALL)
    (tmp_path / "bucket.json").write_text(json.dumps(eval(document)), encoding="utf-8")
    everything = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    (tmp_path / "app.json").write_text(json.dumps(everything), encoding="utf-8")
    done = CliRunner().invoke(main, ["explain", str(tmp_path / "request.json")])
    assert done.exit_code == 0, done.output
    assert f"denied by `OnlyThroughTheEndpoint` of `resource` ({tmp_path / 'bucket.json'}:1:" in done.output
    line = json.dumps(json.loads(request))
    refused = CliRunner().invoke(main, ["decide"], input=line + "\n")
    assert (refused.exit_code, "error" in json.loads(refused.output)) == (1, True)  # no files in a stream of lines
