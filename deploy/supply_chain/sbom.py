"""Writes the bill of materials of a release, CycloneDX 1.6, from the lock of the image. Run `make sbom`.

The same commit gives the same document: its number comes from the content, its time from SOURCE_DATE_EPOCH. `make sbom` sets
that to the time of the commit.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from deploy.supply_chain.locked import PROJECT, ROOT, RUNTIME, license_of, packages, project


def bill_of_materials() -> str:
    """Returns the document as JSON.

    Raises:
        LicenseUnknown: of a package, no license is known.
        ValueError: the document does not match the schema of CycloneDX.
    """
    licenses = LicenseFactory()
    version = project()["version"]
    product = _component(PROJECT, version, project()["license"], licenses, ComponentType.APPLICATION)
    parts = {
        package.name: _component(package.name, package.version, license_of(package.name), licenses)
        for package in packages()
    }
    bom = Bom(components=parts.values())
    bom.metadata.component = product
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), UTC)
    bom.serial_number = uuid.UUID(
        bytes=hashlib.sha256(RUNTIME.read_bytes() + version.encode()).digest()[:16], version=4
    )
    needs: dict[str, list[Component]] = {name: [] for name in (PROJECT, *parts)}
    for package in packages():
        for name in package.needed_by & needs.keys():
            needs[name].append(parts[package.name])
    for name, those in needs.items():
        bom.register_dependency(parts.get(name, product), those)
    text = JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(str(wrong))
    return text


def _component(
    name: str, version: str, license: str, licenses: LicenseFactory, kind: ComponentType = ComponentType.LIBRARY
) -> Component:
    url = PackageURL("pypi", None, name, version)
    return Component(
        name=name, version=version, type=kind, purl=url, bom_ref=str(url), licenses=[licenses.make_from_string(license)]
    )


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / f"{PROJECT}-{project()['version']}.cdx.json"
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(bill_of_materials(), encoding="utf-8")
    sys.stdout.write(f"{where}\n")
