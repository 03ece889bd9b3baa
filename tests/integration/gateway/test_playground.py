"""The playground in a real browser. `PICTURES=DIR` keeps what it looks like."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from integration.gateway.browser import Page, needs_chromium, opened, running_chromium
from integration.gateway.gateway_process import Gateway
from rankserve_client import RankingClient

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chrome]:
    with running_chromium() as driver:
        yield driver


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(("width", "dark"), [(1300, False), (360, True)], ids=["desk", "phone"])
def test_a_stranger_rates_five_items_and_the_ranking_changes(
    chromium: Chrome, gateway: Gateway, client: RankingClient, pictures: Path, width: int, dark: bool
) -> None:
    with opened(chromium, f"http://{gateway.address}/", width, dark) as page:
        page.find("#kind-stranger").click()
        page.wait_until_ranked()
        average = page.ranked()
        assert average == titles(client, {})
        ratings: dict[int, float] = {}
        for number in range(5):
            before = page.ranked()
            item_id = int(page.texts("#found li span:first-child")[0].split()[1])
            ratings[item_id] = float(1 + number)
            rate(page, "#found li:first-child select", 1 + number)
            assert page.ranked() == titles(client, ratings)
            assert page.ranked() != before
            said = page.find("#said").text
            new = len(set(page.ranked()) - set(before))
            assert said.startswith(f"With Item {item_id} rated {1 + number}: {new} of them are new")
        assert page.texts("#rated li span") == [f"Item {item_id}" for item_id in ratings]
        assert page.texts("#tables .moved"), "nothing shows how items have moved"
        assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        page.picture(pictures / f"stranger-{width}-{'dark' if dark else 'light'}.png")
        page.find("#forget").click()
        page.wait_until_ranked()
        assert page.ranked() == average


def test_a_user_is_shown_with_history_baseline_and_another_version(
    chromium: Chrome, gateway: Gateway, client: RankingClient, pictures: Path
) -> None:
    with opened(chromium, f"http://{gateway.address}/") as page:
        box = page.find("#user-id")
        box.clear()
        box.send_keys("18\n")
        page.wait_for("return document.querySelectorAll('#history-table tbody tr').length > 0")
        page.wait_until_ranked()
        known = client.rank(18, top_k=10, exclude_seen=True, titles=True)
        assert page.ranked() == list(known.titles or ())
        assert page.texts("#tables td:nth-child(4)")[0].startswith(f"{known.scores[0]:.2f}")
        means = gateway.post("/api/v1/baseline", {"user_id": 18, "item_ids": list(known.item_ids)}).json["scores"]
        assert page.texts("#tables td:nth-child(5)") == [f"{mean:.2f}" for mean in means]
        seen = gateway.get("/api/v1/models/towers/users/18").json["seen_items"]
        shown = [text.splitlines()[0] for text in page.texts("#history-table tbody th")]
        assert shown == [item["title"] for item in seen]
        page.choose("#beside", "1")
        page.wait_until_ranked()
        other = client.rank(18, top_k=10, exclude_seen=True, titles=True, version=1)
        second = [text.splitlines()[0] for text in page.texts("#tables > :nth-child(2) tbody th")]
        assert second == list(other.titles or ())
        assert all(" ms" in text for text in page.texts("#tables caption"))
        page.picture(pictures / "two-versions.png")


def test_it_works_by_keyboard_and_says_what_is_wrong(chromium: Chrome, gateway: Gateway) -> None:
    with opened(chromium, f"http://{gateway.address}/") as page:
        unnamed = "return [...document.querySelectorAll('input, select, button')].filter((e) => !e.labels?.length"
        unnamed += " && !e.getAttribute('aria-label') && !e.textContent.trim()).map((e) => e.outerHTML)"
        assert page.driver.execute_script(unnamed) == []
        page.find("#search").send_keys("item 45")
        titles_found = "const found = [...document.querySelectorAll('#found li > span')]; return found.length > 0"
        page.wait_for(f"{titles_found} && found.every((title) => title.innerText.includes('45'))")
        page.find("#found select").send_keys("4")
        page.wait_for("return document.querySelectorAll('#rated li').length === 1")
        page.wait_until_ranked()
        focused = page.driver.switch_to.active_element
        assert focused.get_attribute("id") == "search" or focused.tag_name == "select"
        gateway_gone = "window.fetch = () => Promise.reject(new TypeError('gone'))"
        page.driver.execute_script(gateway_gone)
        page.choose("#top-k", "20")
        page.wait_for("return !document.getElementById('trouble').hidden")
        assert "does not answer" in page.find("#trouble").text


def rate(page: Page, selector: str, rating: int) -> None:
    """Gives a rating, and waits for what it changes."""
    said = page.find("#said").text
    count = len(page.texts("#rated li"))
    page.choose(selector, str(rating))
    page.wait_for(f"return document.querySelectorAll('#rated li').length === {count + 1}")
    page.wait_until_ranked()
    title = page.texts("#rated li span")[-1]
    page.wait_for(
        f"return ![...document.querySelectorAll('#found span')].some((e) => e.firstChild?.data === '{title}')"
    )
    assert page.find("#said").text != said


def titles(client: RankingClient, ratings: dict[int, float]) -> list[str]:
    ranking = client.rank(0, top_k=10, exclude_seen=True, titles=True, history=ratings or None)
    return list(ranking.titles or ())
