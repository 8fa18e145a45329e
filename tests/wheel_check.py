"""The built wheel in a clean virtual environment, in a new folder: installed, imported, run against the lab."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*command: str, cwd: Path, wanted: int = 0) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != wanted:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}, not {wanted}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="s3vpce-wheel-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(ROOT), cwd=folder)
        (wheel,) = (folder / "dist").glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv" / "bin" / "python")
        run(python, "-m", "pip", "install", "--quiet", f"{wheel}[lab]", cwd=folder)
        assert "pytest-s3vpce" in run(str(folder / "venv" / "bin" / "s3vpce"), "--version", cwd=folder)
        shutil.copytree(ROOT / "examples" / "endpoint_only", folder / "example")
        out = run(
            python,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--s3vpce-lab",
            "--s3vpce-report=r.html",
            cwd=folder / "example",
        )
        assert " proven" in out, out
        assert (folder / "example" / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        where = run(python, "-c", "import pytest_s3vpce; print(pytest_s3vpce.__file__)", cwd=folder)
        assert str(ROOT) not in where, where
        print(f"{wheel.name}: installed and run in a clean environment")


if __name__ == "__main__":
    main()
