"""Writes the Grafana dashboards and the Prometheus console pages from `panels.toml`: `python deploy/dashboards/build.py`."""

from __future__ import annotations

import html
import json
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GRAFANA = HERE.parent / "grafana" / "dashboards"
CONSOLES = HERE.parent / "prometheus" / "consoles"

GRAFANA_UNITS = {
    "short": "short",
    "seconds": "s",
    "days": "d",
    "dollars": "currencyUSD",
    "percent": "percentunit",
    "bytes": "bytes",
}
CONSOLE_FORMATS = {
    "short": "{{ . | humanize }}",
    "seconds": "{{ . | humanizeDuration }}",
    "days": '{{ . | printf "%.1f" }} d',
    "dollars": '$ {{ . | printf "%.2f" }}',
    "percent": "{{ . | humanizePercentage }}",
    "bytes": "{{ . | humanize1024 }}B",
}
GRAFANA_KINDS = {"stat": "stat", "graph": "timeseries", "bars": "bargauge", "table": "table"}
WIDTHS = {"stat": 6, "graph": 12, "bars": 12, "table": 12}
HEIGHT = 8
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "cart-prometheus"}


def definitions() -> list[dict[str, Any]]:
    """Every dashboard with its panels."""
    return list(tomllib.loads((HERE / "panels.toml").read_text(encoding="utf-8"))["dashboards"])


def query_of(panel: dict[str, Any]) -> str:
    """The panel's query; where no data is a good result, it returns 0, so that an empty panel always means a problem."""
    query: str = panel["query"]
    return f"({query}) or on() vector(0)" if panel.get("empty") == "good" else query


def grafana(dashboard: dict[str, Any]) -> str:
    """The dashboard as Grafana reads it from a file."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(dashboard["panels"], 1):
        width = WIDTHS[panel["kind"]]
        if x + width > COLUMNS:
            x, y = 0, y + HEIGHT
        panels.append(_grafana_panel(panel, number, {"h": HEIGHT, "w": width, "x": x, "y": y}))
        x += width
    body = {
        "uid": f"cart-{dashboard['name']}",
        "title": f"CAR-T: {dashboard['title']}",
        "description": dashboard["about"],
        "tags": ["cart-encounter"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-7d", "to": "now"},
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }
    return json.dumps(body, indent=1) + "\n"


def _grafana_panel(panel: dict[str, Any], number: int, place: dict[str, int]) -> dict[str, Any]:
    instant = panel["kind"] != "graph"
    return {
        "id": number,
        "title": panel["title"],
        "description": panel.get("note", ""),
        "type": GRAFANA_KINDS[panel["kind"]],
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": GRAFANA_UNITS[panel.get("unit", "short")]}, "overrides": []},
        "options": {},
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "expr": query_of(panel),
                "legendFormat": " ".join(f"{{{{{label}}}}}" for label in panel.get("legend", ())) or panel["title"],
                "instant": instant,
                "range": not instant,
                "format": "table" if panel["kind"] == "table" else "time_series",
            }
        ],
    }


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="30">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CAR-T: {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 78rem; padding: 0 1rem; }}
nav a {{ margin-right: 1rem; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }}
section {{ border: 1px solid #8886; border-radius: 6px; padding: .6rem .9rem; }}
h2 {{ font-size: 1rem; margin: 0 0 .4rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ padding: .1rem .3rem; }}
td.value {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
p {{ margin: .2rem 0; }}
</style>
</head>
<body>
<nav>{links}</nav>
<h1>{title}</h1>
<p>{about}</p>
<main>
{sections}
</main>
</body>
</html>
"""


def console(dashboard: dict[str, Any], every: list[dict[str, Any]]) -> str:
    """The same panels as one console page: the values of this moment, no script, no other file."""
    links = " ".join(f'<a href="{other["name"]}.html">{html.escape(other["title"])}</a>' for other in every)
    sections = "\n".join(_section(panel) for panel in dashboard["panels"])
    return PAGE.format(
        title=html.escape(dashboard["title"]), about=html.escape(dashboard["about"]), links=links, sections=sections
    )


def _section(panel: dict[str, Any]) -> str:
    labels = " ".join(f"{{{{ .Labels.{label} }}}}" for label in panel.get("legend", ())) or html.escape(panel["title"])
    asked = f"query `{query_of(panel)}`"
    if panel.get("legend") and not panel["query"].startswith("topk("):
        asked += f' | sortByLabel "{panel["legend"][0]}"'
    shown = CONSOLE_FORMATS[panel.get("unit", "short")].replace("{{ . |", "{{ .Value |")
    return (
        f"<section>\n<h2>{html.escape(panel['title'])}</h2>\n<table>\n"
        f'{{{{ range {asked} }}}}<tr><td>{labels}</td><td class="value">{shown}</td></tr>\n'
        f"{{{{ else }}}}<tr><td>no data</td></tr>\n{{{{ end }}}}</table>\n</section>"
    )


def build() -> dict[Path, str]:
    """Every file that is written, with its text."""
    every = definitions()
    files = {GRAFANA / f"{dashboard['name']}.json": grafana(dashboard) for dashboard in every}
    return files | {CONSOLES / f"{dashboard['name']}.html": console(dashboard, every) for dashboard in every}


if __name__ == "__main__":
    for path, text in build().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
