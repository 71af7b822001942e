"""What becomes of every file under a folder, as a Markdown table: `python -m bench.scan_table FOLDER`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from vmjira.errors import ScanUnreadable
from vmjira.scanners.registry import read_scan
from vmjira.scanners.summary import summary

HEADER = """| file | format | hosts | records | findings | vulnerabilities | warnings, or why it is refused |
|---|---|---|---|---|---|---|"""


def lines(path: Path, name: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            scans = read_scan(path, Path(folder), timezone=ZoneInfo("UTC"))
        except ScanUnreadable as error:
            yield f"| {name} | – | | | | | {str(error).removeprefix(str(path) + ': ')} |"
            return
        for scan in scans:
            told = summary(scan, path)
            numbers = " | ".join(str(told[key]) for key in ("hosts", "records", "findings", "vulnerabilities"))
            yield f"| {name} | {told['format']} | {numbers} | {'; '.join(told['warnings'])} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    folder: Path = options.parse_args().folder
    print(HEADER)
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"):
        for line in lines(path, str(path.relative_to(folder))):
            print(line)


if __name__ == "__main__":
    main()
