"""Dashboards: written from one file, asking only for what exists, and answered by a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from app.metrics.definitions import DEFINITIONS
from tests.kit.cohort import AT, play
from tests.kit.documents import incomplete, out_of_date
from tests.kit.files import DEPLOY
from tests.kit.metrics_store import NOW, World, furnish
from tests.kit.panels import BUILD, PANELS, answers, watched
from tests.kit.promql import documented, metrics_in, recorded, rules

RUN = "run: python deploy/dashboards/build.py"


def shown(text: str, path: Path) -> str:
    """A console as it is; of a dashboard one line a panel, wherever the panel is placed, and one line of the rest."""
    if path.suffix != ".json":
        return text
    dashboard = json.loads(text)
    panels = [{k: v for k, v in panel.items() if k not in ("gridPos", "id")} for panel in dashboard.pop("panels")]
    return "\n".join(json.dumps(part, sort_keys=True) for part in (*panels, dashboard))


def test_the_written_files_are_those_of_the_definitions() -> None:
    built = BUILD.build()
    for path, text in built.items():
        written, made = shown(path.read_text(encoding="utf-8"), path), shown(text, path)
        assert out_of_date(written, made) == [], RUN
    files = {*(DEPLOY / "grafana" / "dashboards").iterdir(), *(DEPLOY / "prometheus" / "consoles").iterdir()}
    assert files == set(built)


def test_no_panel_is_missing_from_the_written_files() -> None:
    for path, text in BUILD.build().items():
        written = path.read_text(encoding="utf-8")
        assert incomplete(shown(written, path), shown(text, path)) == [], RUN
        assert written == text, RUN


def test_grafana_and_the_consoles_use_the_same_queries() -> None:
    for name, panel in PANELS:
        query = BUILD.query_of(panel)
        asked = json.loads((DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text())["panels"]
        assert query in {each["targets"][0]["expr"] for each in asked}
        assert f"`{query}`" in (DEPLOY / "prometheus" / "consoles" / f"{name}.html").read_text()


def test_there_is_a_dashboard_for_every_question() -> None:
    assert [dashboard["name"] for dashboard in BUILD.definitions()] == ["service", "encounters", "revenue", "readiness"]


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=lambda value: value["title"] if isinstance(value, dict) else value
)
def test_a_panel_uses_metrics_that_exist(name: str, panel: dict[str, str]) -> None:
    asked = metrics_in(panel["query"])
    assert asked
    assert asked <= documented() | recorded()


def test_every_metric_of_the_store_is_on_a_dashboard() -> None:
    shown = set().union(*(metrics_in(panel["query"]) for _, panel in PANELS))
    for _ in range(2):  # a recorded series may be made of another
        shown |= {name for rule in rules("record") if rule["record"] in shown for name in metrics_in(rule["expr"])}
    shown |= {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert {each.name for each in DEFINITIONS} <= shown


def test_every_query_can_be_parsed(program: Callable[[str], str], tmp_path: Path) -> None:
    rules = [{"record": f"panel:q{number}", "expr": BUILD.query_of(panel)} for number, (_, panel) in enumerate(PANELS)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_grafana_panels_are_on_the_grid_and_name_the_provisioned_source() -> None:
    source = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            place = panel["gridPos"]
            cells = {(x, place["y"]) for x in range(place["x"], place["x"] + place["w"])}
            assert place["x"] + place["w"] <= 24
            assert not cells & taken
            taken |= cells
            assert panel["datasource"]["uid"] == source["datasources"][0]["uid"]


@pytest.fixture(scope="module", params=["one of everything", "a simulated week"])
def prometheus(
    request: pytest.FixtureRequest, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Prometheus with the repository's rules and consoles over a store."""
    binary = program("prometheus")
    directory = tmp_path_factory.mktemp("dashboards")
    world = World(directory)
    if request.param == "a simulated week":
        play(world, 10, 7, 7)
        now = AT
    else:
        furnish(world)
        now = NOW
    try:
        with watched(world, now, directory, binary) as where:
            yield where
    finally:
        world.db.close()


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=lambda value: value["title"] if isinstance(value, dict) else value
)
def test_a_panel_is_answered_with_data(prometheus: str, name: str, panel: dict[str, str]) -> None:
    assert answers(prometheus, BUILD.query_of(panel)), panel["query"]


def test_nothing_to_count_is_shown_as_zero(prometheus: str) -> None:
    panel = {"query": "cart_holds{kind='unknown'}", "empty": "good"}
    (only,) = answers(prometheus, BUILD.query_of(panel))
    assert only["value"][1] == "0"


def test_what_is_counted_is_shown_without_a_zero_beside_it(prometheus: str) -> None:
    panel = {"query": "max by (kind) (cart_holds)", "empty": "good"}
    found = answers(prometheus, BUILD.query_of(panel))
    assert found
    assert all(each["metric"] and each["value"][1] != "0" for each in found)


@pytest.mark.parametrize("name", [dashboard["name"] for dashboard in BUILD.definitions()])
def test_a_console_page_shows_every_panel(prometheus: str, name: str) -> None:
    page = httpx.get(f"http://{prometheus}/consoles/{name}.html", timeout=10)
    assert page.status_code == 200, page.text
    assert "no data" not in page.text
    assert "{{" not in page.text
    assert page.text.count("<section>") == sum(mine == name for mine, _ in PANELS)
