"""Where the files of the repository are that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCS = ROOT / "docs"
SITE_FILE = DEPLOY / "site.example.toml"
HL7_FILE = DEPLOY / "hl7.example.toml"
RULEBOOK = ROOT / "domain" / "rulebook"
SCENARIOS = ROOT / "tests" / "scenarios"
SAMPLES = ROOT / "tests" / "samples"
