"""Pictures for the documentation, taken from a running stack that the demonstration left serving.

`cart-encounter demo --keep --data-dir D`, then `python deploy/screenshots.py --data-dir D`. The demonstration's own
encounters are closed by then, so a small synthetic cohort and one held referral are posted first: those are under way.
Nothing on the pictures is a person's: the pages carry opaque ids.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.client import RUN_FILE, Api, ApiError, api_from  # noqa: E402 - run as a script, the repository is not on the path
from app.simulate import post_cohort  # noqa: E402
from deploy.chromium import Chromium  # noqa: E402
from intake.feeds import expand, load_feed  # noqa: E402

LARGEST = 400 * 1024
COHORT, SEED, DAYS = 18, 11, 80
HELD = ROOT / "tests" / "scenarios" / "d_missing_tecartus_certificate.json"
AHEAD = timedelta(days=40)
PATIENCE = 120.0
Json = Mapping[str, Any]


def main() -> None:
    """Take every picture and name it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="of the running stack, with run.json and token")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    given = parser.parse_args()
    try:
        for path in take(given.data_dir, given.out):
            print(path)
    except ApiError as error:
        raise SystemExit(str(error)) from None


def take(data_dir: Path, out: Path) -> list[Path]:
    """Take the pictures of a running stack.

    Raises:
        ApiError: no stack runs on the directory, or it refused.
    """
    api = api_from(data_dir, None)
    ui = json.loads((data_dir / RUN_FILE).read_text())["ui"]
    put_under_way(api, datetime.now().astimezone().date())
    encounters = _decided(api)
    told = _fullest(encounters)
    running = _fullest(one for one in encounters if one["stage"] in ("manufacturing", "lymphodepletion", "infusion"))
    with Chromium(1600, 1000) as browser:
        browser.sign_in(api.url, api.token)
        return [
            _page(browser, f"{api.url}/", out / "board.png", 1100),
            _page(browser, f"{api.url}/encounters/{told}", out / "encounter.png", 1300),
            _page(browser, f"{api.url}/work/coordinator", out / "worklist.png", 900),
            _temporal(browser, ui, running, "timeline", out / "temporal-ui.png", 1200),
            _temporal(browser, ui, running, "search-attributes", out / "temporal-attributes.png", 700),
            _temporal(browser, ui, running, "user-metadata", out / "temporal-details.png", 900),
        ]


def put_under_way(api: Api, today: date) -> None:
    """Post encounters that are in the middle of their course today; posting them again changes nothing."""
    post_cohort(api, COHORT, SEED, DAYS, today)
    api.post("/v1/events", expand(load_feed(HELD), today + AHEAD, suffix="-pictures", parts={"first"}))


def _decided(api: Api) -> list[Json]:
    """Every encounter, once each of them has decided on all it knows."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        listed = api.get("/v1/encounters")["encounters"]
        if all(one["up_to_date"] for one in listed):
            return [api.get(f"/v1/encounters/{one['encounter_id']}") for one in listed]
        time.sleep(0.5)
    raise ApiError(f"not every encounter has decided within {PATIENCE:.0f} s")


def _fullest(encounters: Iterable[Json]) -> str:
    """The one with the most steps: a manufacture that failed and was repeated, if there is one."""
    return str(max(encounters, key=lambda one: (len(one["milestones"]), one["encounter_id"]))["encounter_id"])


def _page(browser: Chromium, url: str, path: Path, height: int) -> Path:
    browser.open(url)
    return _taken(browser, path, height)


def _temporal(browser: Chromium, ui: str, encounter: str, tab: str, path: Path, height: int) -> Path:
    """A page of the workflow: its events in their order, or its search attributes."""
    workflow = quote(f"cart-encounter/{encounter}", safe="")
    browser.resize(1600, height)
    browser.open(f"{ui}/namespaces/default/workflows/{workflow}")
    browser.wait("location.pathname.endsWith('/timeline')")
    browser.open(ui + browser.evaluate("location.pathname").removesuffix("timeline") + tab)
    browser.wait(f"document.body.innerText.includes({json.dumps(encounter)})")
    browser.settle()
    return _taken(browser, path, height)


def _taken(browser: Chromium, path: Path, height: int) -> Path:
    browser.picture(path, height)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has {size} bytes; at most {LARGEST} are kept in the repository")
    return path


if __name__ == "__main__":
    main()
