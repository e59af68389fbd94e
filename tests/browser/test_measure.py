"""A checklist over several models, in the browser: started, watched, killed midway, read, and taken away."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.faults.test_local_host import ADD
from tests.hosts.small import small_models
from tests.serving import ROOT, Served
from tests.upstream import Upstream, errs

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ROWS = [
    {
        "id": f"q{n}",
        "question": f"Which word comes after {n}?",
        "answers": ["word7"] if n % 2 else [],
        "evidence": [f"The word after {n} is word7, said the keeper of words."],
    }
    for n in range(8)
]
FILE = {
    "name": "words.jsonl",
    "mimeType": "application/jsonl",
    "buffer": "\n".join(map(json.dumps, ROWS)).encode(),
}


def test_a_checklist_is_measured_and_read(page: Page) -> None:
    page.get_by_role("link", name="Measure").click()
    form = page.get_by_role("form", name="New measurement")
    form.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("No questions came")
    form.get_by_label("A file: JSON Lines").set_input_files([FILE])
    for model in ("counting", "quotes", "err400"):
        form.get_by_label(model, exact=True).check()
    form.get_by_role("button", name="Start").click()
    expect(page.locator(".going")).to_have_count(0, timeout=60_000)
    result = page.locator(".result")
    expect(result.get_by_role("row", name="counting")).to_contain_text("100%")
    expect(page.locator(".cells").get_by_role("row", name="err400").first).to_contain_text("8")
    expect(page.get_by_role("heading", name="Where they differ")).to_be_visible()
    page.get_by_text("Export").click()
    with page.expect_download() as kept:
        page.get_by_role("link", name="JSON").click()
    told = json.loads(kept.value.path().read_text())
    assert {lane["label"] for lane in told["lanes"]} == {"counting", "quotes", "err400"}
    assert told["progress"] == [{"part": "answers", "done": 24, "of": 24}]
    with page.expect_download() as whole:
        page.get_by_role("link", name="HTML").click()
    page_itself = whole.value.path().read_text()
    assert "Where they differ" in page_itself and "src=" not in page_itself, "it needs nothing else"
    page.get_by_role("link", name="Which word comes after 1?").click()
    expect(page.get_by_role("heading", name="The passages that every lane read")).to_be_visible()
    with page.expect_navigation():
        page.get_by_role("link", name="manifest").first.click()
    assert '"digest"' in page.content()
    page.go_back()
    page.get_by_role("link", name="Back to the report").click()
    page.get_by_text("Export").click()
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV, every answer").click()
    assert len(table.value.path().read_text().splitlines()) >= 25
    with page.expect_download() as figures:
        page.get_by_role("link", name="CSV, all figures").click()
    assert figures.value.suggested_filename.endswith("-figures.csv")
    assert "lanes,counting,correct,1.0" in figures.value.path().read_text()


DATA = Path(__file__).parents[1] / "measurement" / "data"
KNOWN = {"knows-8-5": (0.08, 0.05), "knows-25-50": (0.25, 0.5)}  # of answers wrong, of the rest invented


def checklist(answerable: int, unanswerable: int) -> list[dict[str, Any]]:
    """SQuAD's questions, each with the paragraph that it was written about."""
    texts = {row["id"]: row for row in map(json.loads, (DATA / "corpus.jsonl").read_text().splitlines())}
    rows = [json.loads(line) for line in (DATA / "checklist.jsonl").read_text().splitlines()]
    chosen = [row for row in rows if row["answers"]][:answerable] + [row for row in rows if not row["answers"]][
        :unanswerable
    ]
    return [{**row, "evidence": [texts[row["gold_id"]]]} for row in chosen]


def erring(share: float, of: int) -> int:
    """How many of so many items a model errs on."""
    return sum(errs(at, of, share) for at in range(of))


@pytest.mark.parametrize(
    ("answerable", "unanswerable"),
    [(24, 12), pytest.param(200, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
@pytest.mark.timeout(400)
def test_a_checklist_finds_known_error_rates_though_it_is_killed(
    browser: Browser, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answerable: int,
    unanswerable: int,
) -> None:  # fmt: skip
    """SQuAD's questions over a reader, a local model and two models that err as often as they say."""
    rows = checklist(answerable, unanswerable)
    file = "\n".join(map(json.dumps, rows))
    (tmp_path / "checklist.jsonl").write_text(file)
    monkeypatch.setenv("CHECKLIST", str(tmp_path / "checklist.jsonl"))
    models = [*KNOWN, "quotes", "tiny-llama"]
    whole = len(rows) * len(models)
    patience = 400 * whole  # milliseconds
    served = Served(tmp_path / "data", local_models=True)
    [key] = served.people(1, upstream.url, list(KNOWN))
    small = small_models("llama")["llama"]
    add = [sys.executable, "-c", ADD.replace('"max_tokens": 300', '"max_tokens": 12'), "tiny-llama", small]
    subprocess.run(add, cwd=ROOT, env=served.environment, check=True, capture_output=True)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": "sessionid", "value": key, "url": served.url}])
    page = context.new_page()
    try:
        served.start()
        served.start_worker()
        page.goto(f"{served.url}/measure/")
        form = page.get_by_role("form", name="New measurement")
        form.get_by_label("A file: JSON Lines").set_input_files([{**FILE, "buffer": file.encode()}])
        for model in models:
            form.get_by_label(model, exact=True).check()
        form.get_by_role("button", name="Start").click()
        midway = re.compile(rf"\b({'|'.join(map(str, range(whole // 3, whole)))}) of {whole} answers")
        expect(page.locator(".going")).to_contain_text(midway, timeout=patience)
        served.kill()
        served.start()
        served.start_worker()
        assert page.request.get(f"{page.url}json/").json()["progress"][0]["done"] < whole, "it was cut off midway"
        expect(page.locator(".going")).to_have_count(0, timeout=patience)
        told = page.request.get(f"{page.url}json/").json()
        table = page.request.get(f"{page.url}csv/").text()
        heading = page.locator(".lead h2").inner_text()
        shown = page.locator(".result tbody tr th").all_inner_texts()
    finally:
        context.close()
        served.end()
    assert told["progress"] == [{"part": "answers", "done": whole, "of": whole}]
    stored = [(row["item"], row["model"]) for row in csv.DictReader(io.StringIO(table))]
    assert sorted(stored) == sorted((row["id"], model) for row in rows for model in models), "none lost, none twice"
    lanes = {lane["label"]: lane for lane in told["lanes"]}
    for model, (wrong, invented) in KNOWN.items():
        cells, lane = lanes[model]["cells"], lanes[model]
        assert (cells["wrong"], cells["invented"]) == (erring(wrong, answerable), erring(invented, unanswerable))
        assert lane["correct"]["low"] <= 1 - wrong <= lane["correct"]["high"]
        truth = (answerable * wrong + unanswerable * invented) / (answerable + unanswerable * invented)
        assert lane["hallucinated"]["low"] <= truth <= lane["hallucinated"]["high"]
    right = {label: lane["right"]["value"] for label, lane in lanes.items()}
    best, second = KNOWN
    assert right[best] == max(right.values()) and right["tiny-llama"] < min(right["quotes"], right[second])
    assert heading.startswith(best) and set(shown) == set(models)
    [between] = [pair for pair in told["pairs"] if {pair["first"], pair["second"]} == set(KNOWN)]
    assert between["told"], "so many items tell them apart"
