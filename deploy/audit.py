"""`make audit`: known vulnerabilities of all that the requirement files pin, and their bill of materials.

The gate is open only when every pinned package was looked at and none is known to be vulnerable. The bill of materials
(CycloneDX) is left in any case: with what was found, or, when nobody could be asked, with what is pinned.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_BILL = ROOT / "build" / "sbom.cdx.json"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;]+)", re.MULTILINE)
_FOUND, _NOT_LOOKED_AT = 1, 2


def audit(requirements: Sequence[Path], *, bill: Path, osv_url: str | None = None) -> int:
    """0 when all is well, 1 with what is vulnerable, 2 when something was not looked at. `osv_url` is another service
    of the OSV protocol than the public one."""
    pins = {pin for file in requirements for pin in _PIN.findall(file.read_text(encoding="utf-8"))}
    pinned = {_name(name) for name, _ in pins}
    bill.parent.mkdir(parents=True, exist_ok=True)
    bill.write_text(json.dumps(_only_pinned(pins), indent=2) + "\n", encoding="utf-8")
    told, found_bill = _look(requirements, osv_url)
    if not found_bill:
        print(*told.splitlines()[-1:], file=sys.stderr)
        print(
            f"{len(pinned)} of {len(pinned)} packages were not looked at. Audit again where the service can be reached;"
            f" {bill} lists what is pinned, and says nothing of vulnerabilities.",
            file=sys.stderr,
        )
        return _NOT_LOOKED_AT
    bill.write_text(found_bill, encoding="utf-8")
    document: dict[str, Any] = json.loads(found_bill)
    # A marker may keep a package off this system; it is pinned all the same, and audited where it is installed.
    seen = {_name(one["name"]) for one in document.get("components", ())}
    names = {one["bom-ref"]: f"{one['name']} {one['version']}" for one in document.get("components", ())}
    found = [
        f"{names.get(place['ref'], place['ref'])}: {one['id']}"
        for one in document.get("vulnerabilities", ())
        for place in one["affects"]
    ]
    for one in sorted(found):
        print(f"vulnerable: {one}", file=sys.stderr)
    if missing := sorted(pinned - seen):
        print(f"{len(missing)} of {len(pinned)} packages were not looked at: {', '.join(missing)}.", file=sys.stderr)
    print(f"{len(seen)} packages looked at, {len(found)} vulnerabilities; bill of materials in {bill}")
    return _FOUND if found else _NOT_LOOKED_AT if missing else 0


def _only_pinned(pins: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A bill of materials of these (name, version)."""
    components = [
        {
            "type": "library",
            "bom-ref": f"{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{_name(name)}@{version}",
        }
        for name, version in sorted(pins)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "components": components}


def _look(requirements: Sequence[Path], osv_url: str | None) -> tuple[str, str]:
    """What pip-audit says, and its bill of materials; that is empty when it did not get so far."""
    files = [argument for file in requirements for argument in ("--requirement", str(file))]
    service = ["--vulnerability-service", "osv", *(["--osv-url", osv_url] if osv_url else [])]
    # Without --strict it says that nothing is vulnerable when it could not look.
    options = [
        "--strict",
        "--disable-pip",
        "--require-hashes",
        "--progress-spinner",
        "off",
        "--format",
        "cyclonedx-json",
    ]
    command = [sys.executable, "-m", "pip_audit", *files, *service, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return done.stderr, done.stdout


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Exits with what `audit` gives."""
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description="Audit what the requirement files pin.")
    parser.add_argument("requirements", nargs="*", type=Path, help="the project's own if left out")
    parser.add_argument("--bill", type=Path, default=_BILL, help="where the bill of materials goes")
    parser.add_argument("--osv-url", default=None, help="another service that speaks OSV")
    chosen = parser.parse_args()
    files = chosen.requirements or [ROOT / "requirements" / name for name in ("runtime.txt", "dev.txt")]
    sys.exit(audit(files, bill=chosen.bill, osv_url=chosen.osv_url))


if __name__ == "__main__":
    main()
