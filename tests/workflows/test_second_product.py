"""A second product, enabled in the tables and certified in the site file, goes through the same workflow to its claims."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from intake.scenario_feeds import Feed, expand, load_feed
from store.config import rulebook_directory
from tests.kit.feeds import translated
from tests.kit.files import SCENARIOS, SITE_FILE
from tests.kit.site import Files, copied
from tests.kit.worker import World, play, read_by

FEED = SCENARIOS / "a_mcl_medicare_inpatient.json"


def enabled(directory: Path) -> Files:
    """Copies in which a person switched the product on: one word of one row, and the certificates of the site."""
    files = copied(directory)
    head, _, row = (files.rules / "products.toml").read_text(encoding="utf-8").partition('id = "products.yescarta"')
    assert row.partition("[[products]]")[0].count("enabled = false") == 1
    row = row.replace("enabled = false", "enabled = true", 1)
    (files.rules / "products.toml").write_text(f'{head}id = "products.yescarta"{row}', encoding="utf-8")
    text = SITE_FILE.read_text(encoding="utf-8").replace("tecartus", "yescarta").replace("Q2053", "Q2041")
    files.site.write_text(text, encoding="utf-8")
    return files


def other_product(directory: Path) -> Feed:
    """The first scenario as it reads for a patient with large B-cell lymphoma and the other product."""
    path = directory / "lbcl.json"
    path.write_text(translated(FEED.read_text(encoding="utf-8")), encoding="utf-8")
    return load_feed(path)


async def test_yescarta_for_large_b_cell_lymphoma_runs_to_its_claims(world: World, tmp_path: Path) -> None:
    files, feed = enabled(tmp_path), other_product(tmp_path)
    anchor = datetime.now(UTC).date() - timedelta(days=feed.first_day)
    with read_by(world, files):
        encounter = await play(world, expand(feed, anchor, suffix="-second"))
        await world.skip(encounter, timedelta(days=60))
        row = await world.eventually(lambda: (e := world.encounter(encounter)).status == "closed" and e, "it closes")

    assert row.view["outcome"] == "completed"
    assert row.product == "yescarta"
    claims = world.claims(encounter)
    assert {key: claim.state for key, claim in claims.items()} == {"A/1": "emitted", "B/1": "emitted", "C/1": "emitted"}
    text = json.dumps([claim.document for claim in claims.values()])
    assert "Q2041" in text
    assert "XW033H7" in text
    assert "Q2053" not in text
    assert world.alerts(encounter) == {}


def test_nothing_was_edited_but_one_row_and_the_site_file(tmp_path: Path) -> None:
    packaged = {path.name: path.read_text(encoding="utf-8") for path in rulebook_directory().glob("*.toml")}

    mine = enabled(tmp_path).tables()

    assert [name for name in packaged if packaged[name] != mine[name]] == ["products.toml"]
    pairs = zip(packaged["products.toml"].splitlines(), mine["products.toml"].splitlines(), strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("enabled = false", "enabled = true")]
