"""The page in a real browser: keys, touch, undo, network cuts and kills; what readers with a screen reader get."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
    pytest.skip("no Chromium on this machine", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parent))
from axe_core_python.async_playwright import Axe
from page_endurance import READY, Noted, Server, browsing, endure, open_page

from bayesrm.campaign.rankings import in_words

SERIOUS = ("serious", "critical")
HOSTILE = (
    "<script>document.title='ran'</script>\n\n<img src=x onerror=\"document.title='ran'\">\n\n"
    "[x](javascript:document.title='ran')\n\n![x](https://elsewhere.example/pixel.png)\n\n"
    "<style>body{display:none}</style>\n\na\u202eb\n\n```\n"
    + "code " * 60
    + "\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
)


@contextmanager
def serving(campaign, *people: str):
    server = Server(campaign.directory, list(people))
    server.start()
    try:
        yield server
    finally:
        assert server.stop() == 0, "Ctrl-C ends it cleanly"


def test_three_annotators_through_network_cuts_and_a_kill_lose_and_double_nothing(tmp_path):
    done = asyncio.run(endure(tmp_path, answers=15, kills=1, cut_every=3, undo_every=4))
    assert (done["answers"], done["kills"]) == (15, 1)
    assert done["network cuts"] >= 3
    assert done["undone"] >= 1


def test_hostile_texts_run_and_load_nothing_and_axe_finds_nothing_serious(asked):
    campaign = asked(4, texts=[HOSTILE + f" {k}" if k % 2 else "word " * 200_000 for k in range(60)])

    async def look(server: Server) -> None:
        async with browsing() as browser:
            noted, asked_for, findings = Noted(), [], {}
            for phone in (False, True):
                page = await open_page(browser, server.links["ana"], noted, "ana", phone)
                page.on("request", lambda request: asked_for.append(request.url))
                await page.wait_for_selector(READY)
                assert await page.title() == "1 of 4 · Which answer is better?"
                wide, window = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
                assert wide <= window, "nothing has to be scrolled sideways"
                findings[f"phone: {phone}"] = await Axe().run(page)
            owner = await open_page(browser, server.links["To look only"], noted, "owner")
            await owner.wait_for_selector("#main:not([hidden])")
            findings["owner"] = await Axe().run(owner)
            wrong = await open_page(browser, server.links["To look only"].replace("/owner#", "/#"), noted, "x")
            await wrong.wait_for_selector("body[data-state=refused]")
            assert not await wrong.is_visible("#question")
            serious = {
                (where, rule["id"], rule["nodes"][0]["html"][:120])
                for where, found in findings.items()
                for rule in found["violations"]
                if rule["impact"] in SERIOUS
            }
            assert serious == set()
            assert {url.split("/")[2] for url in asked_for} <= {f"127.0.0.1:{server.port}"}
            assert noted.errors == []

    with serving(campaign, "ana") as server:
        asyncio.run(look(server))
    assert campaign.store.answers() == []


def test_lists_are_ranked_by_keys_and_by_touch_and_axe_finds_nothing_serious(asked):
    campaign = asked(4, list_size=4)

    async def rank(server: Server) -> None:
        async with browsing() as browser:
            noted = Noted()
            page = await open_page(browser, server.links["ana"], noted, "ana")
            await page.wait_for_selector(READY)
            assert await page.title() == "1 of 4 · Which answers are better?"
            assert await page.is_disabled("#save")
            await page.wait_for_timeout(220)
            # B, then A and D as a tie; C is not named.
            for key in ("2", "1", "=", "4"):
                await page.keyboard.press(key)
            assert await page.text_content("#order") == "B > A = D; below all: C"
            assert await page.is_checked("input[name=place-d][value='2']")
            await answered(page, page.keyboard.press("Enter"))
            # The same with the choices that a screen reader finds, and taken back.
            await page.get_by_role("group", name="Place of answer C").get_by_role("radio", name="1").check()
            assert await page.text_content("#order") == "C; below them: A, B, D"
            await answered(page, page.click("#save"))
            await answered(page, page.click("#ranking .undo"))
            assert "Taken back" in await page.text_content("#said")
            assert await page.is_disabled("#save")
            await page.close()
            phone = await open_page(browser, server.links["ana"], noted, "ana", True)
            await phone.wait_for_selector(READY)
            wide, window = await phone.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            assert wide <= window, "nothing has to be scrolled sideways"
            for name, place in (("d", 1), ("b", 2), ("a", 3), ("c", 4)):
                await phone.tap(f"input[name=place-{name}][value='{place}']")
            serious = [rule for rule in (await Axe().run(phone))["violations"] if rule["impact"] in SERIOUS]
            assert serious == []
            await answered(phone, phone.tap("#save"))
            await answered(phone, phone.tap("#ranking [data-side=tie]"))
            await answered(phone, phone.tap("#ranking [data-side=skip]"), "body[data-state=done]")
            assert noted.errors == []

    async def answered(page, act, state: str = READY) -> None:
        before = await page.text_content("#count"), await page.text_content("#said")
        await act
        await page.wait_for_function(
            "before => document.getElementById('count').textContent !== before[0]", arg=before, timeout=30_000
        )
        await page.wait_for_selector(state)

    with serving(campaign, "ana") as server:
        asyncio.run(rank(server))
    questions = {question.id: question for question in campaign.store.questions()}
    said = [
        row.verdict
        if row.ranking is None
        else in_words(row.ranked(questions[row.question]), questions[row.question].members)
        for row in campaign.store.answers()
    ]
    assert said == ["B > A = D > C", "D > B > A > C", "tie", "skip"]


def test_grades_are_keys_and_buttons_that_fit_on_a_phone(asked):
    campaign = asked(2, grades=7)

    async def grade(server: Server) -> None:
        async with browsing() as browser:
            noted = Noted()
            page = await open_page(browser, server.links["ana"], noted, "ana")
            await page.wait_for_selector(READY)
            await page.wait_for_timeout(220)
            await page.keyboard.press("7")
            await page.wait_for_selector("#said:has-text('Saved')")
            assert await page.text_content("#said") == "Saved: B much better."
            await page.close()
            phone = await open_page(browser, server.links["ana"], noted, "ana", True)
            await phone.wait_for_selector(READY)
            wide, window = await phone.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            assert wide <= window, "nothing has to be scrolled sideways"
            serious = [rule for rule in (await Axe().run(phone))["violations"] if rule["impact"] in SERIOUS]
            assert serious == []
            await phone.tap("#scale button:nth-child(3)")
            await phone.wait_for_selector("body[data-state=done]")
            assert noted.errors == []

    with serving(campaign, "ana") as server:
        asyncio.run(grade(server))
    assert [(row.margin, row.verdict) for row in campaign.store.answers()] == [
        (3, campaign.store.questions()[0].verdict("right")),
        (1, campaign.store.questions()[1].verdict("left")),
    ]


def test_the_port_is_not_open_beyond_this_machine_and_a_kill_leaves_a_whole_store(asked):
    campaign = asked(2)
    server = Server(campaign.directory, ["ana"])
    server.start()
    with urllib.request.urlopen(server.links["ana"].partition("#")[0], timeout=10) as response:
        assert response.status == 200
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == int(server.port)
    ]
    assert set(listening) <= {f"0100007F:{int(server.port):04X}"}
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert len(campaign.store.questions()) == 2
