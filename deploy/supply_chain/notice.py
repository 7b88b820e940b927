"""Writes `NOTICE` from the lock of the image. Run `make notice`."""

from __future__ import annotations

from pathlib import Path

from deploy.supply_chain.locked import ROOT, license_of, packages

FRAME = Path(__file__).with_name("notice.txt")


def notice() -> str:
    """Returns the whole text.

    Raises:
        LicenseUnknown: of a package, no license is known.
    """
    lines = [f"{package.name} {package.version} - {license_of(package.name)}" for package in packages()]
    return FRAME.read_text(encoding="utf-8").replace("{packages}", "\n".join(lines))


if __name__ == "__main__":
    (ROOT / "NOTICE").write_text(notice(), encoding="utf-8")
