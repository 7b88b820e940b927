"""NOTICE, bill of materials and license follow the lock, which names no index; an audit that could not ask is no pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.supply_chain import locked
from deploy.supply_chain.audit import NOT_KNOWN
from deploy.supply_chain.notice import notice
from deploy.supply_chain.sbom import bill_of_materials
from tests.kit.files import ROOT


def test_the_notice_is_that_of_the_lock() -> None:
    assert (ROOT / "NOTICE").read_text() == notice(), "run: make notice"


def test_every_direct_dependency_has_its_licence_in_notice() -> None:
    needed = {locked.normal(re.split(r"[\[<>=~! ]", text)[0]) for text in locked.project()["dependencies"]}
    named = {line.split(" ")[0] for line in (ROOT / "NOTICE").read_text().splitlines() if " - " in line}
    assert needed - named == set()


def test_a_license_that_no_one_stated_is_an_error_that_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(locked.LicenseUnknown, match=r"licenses\.toml"):
        locked.license_of("no-such-package")
    (tmp_path / "licenses.toml").write_text("[licenses]\n")
    monkeypatch.setattr(locked, "LICENSES", tmp_path / "licenses.toml")
    with pytest.raises(locked.LicenseUnknown, match="pyx12"):
        locked.license_of("pyx12")


def test_the_project_has_one_license_in_its_metadata_and_its_files() -> None:
    assert locked.project()["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert all((ROOT / name).is_file() for name in locked.project()["license-files"])


def test_the_bill_of_materials_is_valid_and_names_each_package_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    text = bill_of_materials()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert {(one["name"], one["version"]) for one in bom["components"]} == {
        (package.name, package.version) for package in locked.packages()
    }
    assert all(one["licenses"] for one in bom["components"])
    product = bom["metadata"]["component"]
    assert (product["name"], product["version"]) == (locked.PROJECT, locked.project()["version"])
    needs = {one["ref"]: one.get("dependsOn", []) for one in bom["dependencies"]}
    direct = {locked.normal(re.split(r"[\[<>=~! ]", one)[0]) for one in locked.project()["dependencies"]}
    assert {ref.split("/")[1].split("@")[0] for ref in needs[product["bom-ref"]]} == direct
    needed = {ref for those in needs.values() for ref in those}
    assert needed == {one["bom-ref"] for one in bom["components"]}, "each package is there for another"
    assert bill_of_materials() == text


class Advisories(BaseHTTPRequestHandler):
    """Answers as the service of OSV does: one advisory for pyx12, none for others."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        found = {
            "vulns": [
                {
                    "id": "TEST-2026-0001",
                    "summary": "made up",
                    "details": "made up",
                    "aliases": [],
                    "modified": "2026-01-01T00:00:00Z",
                    "published": "2026-01-01T00:00:00Z",
                    "affected": [{"package": asked["package"], "ranges": [{"type": "ECOSYSTEM", "events": []}]}],
                }
            ]
        }
        body = json.dumps(found if asked["package"]["name"] == self.server.bad else {}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def advisories(bad: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    server.bad = bad  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def audit(service: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.supply_chain.audit"]
    environment = os.environ | {"CART_ADVISORY_SERVICE": service, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_an_audit_lists_advisories() -> None:
    with advisories("pyx12") as service:
        found = audit(service)
    assert found.returncode == 1, found.stderr
    assert "TEST-2026-0001" in found.stdout


def test_an_audit_passes_where_none_is_known() -> None:
    with advisories("") as service:
        found = audit(service)
    assert (found.returncode, "no advisory is known" in found.stdout) == (0, True), found.stderr


def test_an_audit_that_cannot_ask_is_no_pass() -> None:
    found = audit("http://127.0.0.1:9/v1/query")
    assert found.returncode == NOT_KNOWN
    assert "nothing is known about advisories" in found.stderr


def test_the_lock_is_hashed_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    pinned = re.findall(r"^[A-Za-z0-9._-]+==", lock, re.MULTILINE)
    unpinned = [line for line in lock.splitlines() if line and not line.startswith((" ", "#")) and "==" not in line]
    assert pinned
    assert unpinned == []
