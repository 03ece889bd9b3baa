"""Each alert has its section in the runbook, and says where it is."""

import re

import yaml  # type: ignore[import-untyped]  # it ships no types

from checks.repository import ROOT

_PAGE = "docs/operating.md"


def _alerts() -> dict[str, str]:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    found = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"].get("runbook_url", "") for rule in found}


def test_each_alert_says_where_its_section_is() -> None:
    assert {name: f"{_PAGE}#{name.lower()}" for name in _alerts()} == _alerts()


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    _, _, runbook = (ROOT / _PAGE).read_text(encoding="utf-8").partition("\n## Runbook\n")
    sections = re.split(r"^### (\w+)\n", runbook, flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert texts.keys() == _alerts().keys()
    # What it means, and what to do: two paragraphs at least.
    assert all(len(text.strip().split("\n\n")) >= 2 for text in texts.values())
