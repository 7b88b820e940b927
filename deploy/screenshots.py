"""Take the screenshots for the documentation from a running demo stack.

`cart-encounter demo --keep --data-dir D`, then `python deploy/screenshots.py --data-dir D`. The encounters of the demo are
closed by then. So a small synthetic cohort and one held referral are posted first: those are open. For the screenshot of a
console, a Prometheus with the repository's rules and consoles is started on the stack's metrics. The screenshots show no
person: the pages have opaque IDs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.cli.simulate import post_cohort  # noqa: E402
from app.client import Api, ApiError, api_from  # noqa: E402
from app.metrics import free_port  # noqa: E402
from app.settings import RUN_FILE  # noqa: E402 - run as a script, the repository is not on the path
from deploy.browser import opened, sign_in  # noqa: E402
from intake.scenario_feeds import expand, load_feed  # noqa: E402

LARGEST = 400 * 1024
WIDTH = 1600
COHORT, SEED, DAYS = 18, 11, 80
HELD = ROOT / "tests" / "scenarios" / "d_missing_tecartus_certificate.json"
AHEAD = timedelta(days=29)
"""Puts the held encounter's collection before the certificate that the demo files for its own encounter."""

PATIENCE = 120.0
PROMETHEUS = ROOT / "deploy" / "prometheus"
SCRAPES = 5.0
Json = Mapping[str, Any]


def main() -> None:
    """Take every screenshot and print its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="data directory of the running stack, with run.json and token"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    given = parser.parse_args()
    try:
        for path in take(given.data_dir, given.out):
            print(path)
    except ApiError as error:
        raise SystemExit(str(error)) from None


def take(data_dir: Path, out: Path) -> list[Path]:
    """Take the screenshots of a running stack.

    Raises:
        ApiError: no stack runs on the directory, or a request was refused.
    """
    api = api_from(data_dir, None)
    where = json.loads((data_dir / RUN_FILE).read_text())
    ui = where["ui"]
    put_under_way(api, datetime.now().astimezone().date())
    encounters = _decided(api)
    fullest = _fullest(encounters)
    running = _fullest(one for one in encounters if one["stage"] in ("manufacturing", "lymphodepletion", "infusion"))
    with opened() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light")
        sign_in(page, api.url, api.token)
        return [
            _page(page, f"{api.url}/", out / "board.png", 1100),
            _page(page, f"{api.url}/encounters/{fullest}", out / "encounter.png", 1300),
            _page(page, f"{api.url}/work/coordinator", out / "worklist.png", 900),
            _page(page, f"{api.url}/alerts", out / "alerts.png", 900),
            _temporal(page, ui, running, "timeline", out / "temporal-ui.png", 1200),
            _temporal(page, ui, running, "search-attributes", out / "temporal-attributes.png", 700),
            _temporal(page, ui, running, "user-metadata", out / "temporal-details.png", 900),
            *_console(page, where, out / "console.png"),
        ]


def put_under_way(api: Api, today: date) -> None:
    """Post encounters that are in progress today; posting them again changes nothing."""
    post_cohort(api, COHORT, SEED, DAYS, today)
    api.post("/v1/events", expand(load_feed(HELD), today + AHEAD, suffix="-pictures", parts={"first"}))


def _decided(api: Api) -> list[Json]:
    """Return every encounter, after each has decided on all its facts."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        listed = api.get("/v1/encounters")["encounters"]
        if all(one["up_to_date"] for one in listed):
            return [api.get(f"/v1/encounters/{one['encounter_id']}") for one in listed]
        time.sleep(0.5)
    raise ApiError(f"not every encounter has decided within {PATIENCE:.0f} s")


def _fullest(encounters: Iterable[Json]) -> str:
    """Return the encounter with the most steps, such as a failed and repeated manufacturing."""
    return str(max(encounters, key=lambda one: (len(one["milestones"]), one["encounter_id"]))["encounter_id"])


def _page(page: Page, url: str, path: Path, height: int) -> Path:
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.goto(url)
    return _taken(page, path)


def _temporal(page: Page, ui: str, encounter: str, tab: str, path: Path, height: int) -> Path:
    """Take a page of the workflow: its events in order, or its search attributes."""
    workflow = quote(f"cart-encounter/{encounter}", safe="")
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.goto(f"{ui}/namespaces/default/workflows/{workflow}")
    page.wait_for_url("**/timeline")
    page.goto(page.url.removesuffix("timeline") + tab)
    page.get_by_text(encounter).first.wait_for()
    page.wait_for_timeout(2000)
    return _taken(page, path)


def _console(page: Page, where: Mapping[str, str], path: Path) -> list[Path]:
    """Take a Prometheus console of the stack's metrics, after enough scrapes for a rate; none if Prometheus is missing."""
    binary = shutil.which("prometheus")
    if binary is None:
        print("Prometheus is not installed: the console screenshot is unchanged", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as directory:
        address = f"127.0.0.1:{free_port()}"
        config = _scraping(where, address)
        (Path(directory) / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [binary, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/series"]
        command += [f"--web.listen-address={address}", f"--web.console.templates={PROMETHEUS / 'consoles'}"]
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - a program of this machine
        try:
            time.sleep(SCRAPES * 2)
            page.set_viewport_size({"width": WIDTH, "height": 1300})
            page.goto(f"http://{address}/consoles/encounters.html")
            return [_taken(page, path)]
        finally:
            server.terminate()
            server.wait(10)


def _scraping(where: Mapping[str, str], prometheus: str) -> dict[str, Any]:
    """Return the repository's configuration for the addresses of the embedded stack, scraping every second."""
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(path) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    del config["alerting"]
    targets = {"cart-worker": where["metrics"], "cart-gateway": where["http"], "prometheus": f"http://{prometheus}"}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in targets]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]].removeprefix("http://")]}]
    return config


def _taken(page: Page, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has {size} bytes; at most {LARGEST} are kept in the repository")
    return path


if __name__ == "__main__":
    main()
