"""A module's folder without its remote backend: the lab's state is the lab's own, wherever the real one is kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REMOTE: Final = re.compile(r'^\s*(?:backend\s+"(?!local")[^"]+"|cloud)\s*\{', re.MULTILINE)
_UPWARDS: Final = re.compile(r"(?:\.\./)+")
_OVERRIDE: Final = "s3vpce_lab_override.tf"
# What a block in a file named *_override.tf says takes the place of the module's own.
# https://developer.hashicorp.com/terraform/language/files/override
_LOCAL: Final = 'terraform {\n  backend "local" {}\n}\n'
_OWN: Final = re.compile(r"\.terraform|\.git|.*\.tfstate(\..*)?")


def local(module: Path, *, folder: Path) -> Path:
    """The module itself, or, where it keeps its state remotely, a likeness of it in `folder` that does not.

    The likeness is made of links. It has as many of the folders above as the module's paths go up, so that modules and
    files beside it are found.
    """
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in module.glob("*.tf")]
    if not any(_REMOTE.search(text) for text in texts):
        return module
    source = module.resolve()
    steps = max((len(found) // 3 for text in texts for found in _UPWARDS.findall(text)), default=0)
    ways = [source, *source.parents][: steps + 1]
    place = folder / "module"
    place.mkdir()
    for above, below in zip(reversed(ways[1:]), reversed(ways[:-1]), strict=True):
        for entry in above.iterdir():
            if entry != below:
                (place / entry.name).symlink_to(entry)
        place /= below.name
        place.mkdir()
    for entry in _files(source):
        link = place / entry.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(entry)
    (place / _OVERRIDE).write_text(_LOCAL, encoding="utf-8")
    return place


def _files(folder: Path) -> Iterator[Path]:
    """The files in it and below: folders are made anew, since not everything that walks them follows links."""
    for entry in sorted(folder.iterdir()):
        if _OWN.fullmatch(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        else:
            yield entry
