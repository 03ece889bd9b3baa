"""The dashboard and the alert rules name only what a real server and a real gateway before it export."""

import json
import re
from collections.abc import Iterator
from typing import Final

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from checks.repository import ROOT
from integration.gateway.gateway_process import running_gateway
from integration.scraping import scrape_until
from integration.server_process import running_server
from integration.tower_versions import add, truncate
from rankserve_client import RankingClient, SetAlias, SetShadow
from rankserve_server.metrics.families import store_families
from server.two_towers import Published

DEPLOY: Final = ROOT / "deploy"
# What Prometheus adds itself.
TARGET_LABELS: Final = {"job", "instance"}
OF_PROMETHEUS: Final = {"up": TARGET_LABELS}
# Of a server whose models come from a store: see `test_store.py`.
OF_STORES: Final = {sample.name: TARGET_LABELS for family in store_families(0.0, 0, 0) for sample in family.samples}
_STRING: Final = re.compile(r'"[^"]*"')
_SELECTOR: Final = re.compile(r"(?P<metric>[a-zA-Z_:][\w:]*)?\s*\{(?P<labels>[^}]*)\}")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\((?P<labels>[^)]*)\)")
_RANGE: Final = re.compile(r"\[[^\]]*\]")
_WORD: Final = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*(?!\w*\s*\()")
_TEMPLATE: Final = re.compile(r"\{\{\s*\$?(?:labels\.)?(?P<label>\w+)")
_KEYWORDS: Final = {"by", "without", "on", "ignoring", "and", "or", "unless", "bool", "group_left", "group_right"}


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression selects."""
    text = _RANGE.sub(" ", _GROUPING.sub(" ", re.sub(r"\{[^}]*\}", " ", _STRING.sub('""', expression))))
    return set(_WORD.findall(text)) - _KEYWORDS


def labels_of(expression: str) -> set[str]:
    """The labels that it names, but for those that it makes itself."""
    text = _STRING.sub('""', expression)
    found = {part for match in _GROUPING.finditer(text) for part in re.split(r"[\s,]+", match["labels"]) if part}
    for match in _SELECTOR.finditer(text):
        found |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match["labels"]))
    made = set(re.findall(r'count_values[^"]*"(\w+)"', expression))
    return found - made


def panel_expressions() -> Iterator[tuple[str, str, str]]:
    """Title, expression, and the text that shows its labels."""
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]


def alert_expressions() -> Iterator[tuple[str, str, str]]:
    rules = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            shown = re.sub(r"\$value", "", rule["annotations"]["summary"])
            yield rule["alert"], rule["expr"], shown


def faults(expressions: Iterator[tuple[str, str, str]], exported: dict[str, set[str]]) -> list[str]:
    """What a real server would leave empty."""
    found = []
    for title, expression, shown in expressions:
        metrics = metrics_of(expression)
        assert metrics, (title, expression)
        found += [f"{title}: no metric {metric}" for metric in sorted(metrics - exported.keys())]
        known = TARGET_LABELS.union(*(exported.get(metric, set()) for metric in metrics))
        named = labels_of(expression) | {match["label"] for match in _TEMPLATE.finditer(shown) if match["label"]}
        found += [f"{title}: no label {label}" for label in sorted(named - known)]
    return found


@pytest.fixture(scope="module")
def exported(towers: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The labels of each metric of a server that has been asked, has a shadow and a bad version, and of a gateway."""
    models = tmp_path_factory.mktemp("models")
    add(models, towers, 1)
    add(models, towers, 2)
    add(models, towers, 3, truncate)
    errors = tmp_path_factory.mktemp("exported") / "errors"
    with running_server(models, errors, "--workers", "2", "--metrics-port", "0", "--watch-seconds", "0.2") as server:
        with RankingClient(server.address, timeout=120) as client:
            client.change_serving(SetAlias("stable", 1))
            client.change_serving(SetShadow(1, 100))
            client.rank(3, [5, 10])
        found = scrape_until(server, lambda seen: seen.value("rankserve_shadow_overlap_at_10_count") > 0)
        gateway_flags = ("--server", server.address, "--metrics-port", "0")
        with running_gateway(errors.with_name("gateway-errors"), *gateway_flags) as gateway:
            assert gateway.get("/api/v1/models/nobody").status == 404
            asked = scrape_until(gateway, lambda seen: seen.value("rankserve_gateway_requests_total") > 0)
            of_gateway = {name: labels for name, labels in asked.labels().items() if "gateway" in name}
        yield found.labels() | of_gateway | OF_PROMETHEUS | OF_STORES


def test_every_panel_shows_something(exported: dict[str, set[str]]) -> None:
    assert not faults(panel_expressions(), exported)


def test_every_alert_can_fire(exported: dict[str, set[str]]) -> None:
    assert not faults(alert_expressions(), exported)


def test_every_metric_is_shown_or_watched(exported: dict[str, set[str]]) -> None:
    """What nobody looks at need not be counted."""
    used = {m for _, expression, _ in (*panel_expressions(), *alert_expressions()) for m in metrics_of(expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in exported}
    unseen = families - {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in used}
    assert unseen <= {"process_start_time_seconds", "process_virtual_memory_bytes"}


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum by (model) (rate(rankserve_nothing_total[5m]))", "no metric rankserve_nothing_total"),
        ("sum by (colour) (rate(rankserve_requests_total[5m]))", "no label colour"),
        ('rankserve_requests_total{job="a", colour="red"} > 1', "no label colour"),
        ("rankserve_requests_total / ignoring (alias) rankserve_other", "no metric rankserve_other"),
        ('histogram_quantile(0.5, sum by (le) (rate(rankserve_batch_rows_buckets{job="a"}[1m])))', "no metric"),
    ],
)
def test_what_is_not_exported_is_found(exported: dict[str, set[str]], expression: str, fault: str) -> None:
    assert fault in "\n".join(faults(iter([("a panel", expression, "")]), exported))


def test_a_legend_with_another_label_is_found(exported: dict[str, set[str]]) -> None:
    found = faults(iter([("a panel", "rankserve_requests_total", "{{colour}} {{ $labels.shape }}")]), exported)
    assert found == ["a panel: no label colour", "a panel: no label shape"]
