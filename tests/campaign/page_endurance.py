"""People answer on the page in a real browser while the network is cut and the server is killed: nothing is lost.

    python tests/campaign/page_endurance.py --answers 300 --kills 10

Three annotators answer in parallel, two with keys and one on a phone. What the server acknowledged is noted from its
responses as the browser sees them, and compared with the store at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, Response, async_playwright

import bayesrm as brm
from bayesrm.campaign.asking import Request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIDES = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "t", "skip": "s"}
ROOT = Path(__file__).parents[2]


def make_campaign(folder: Path, answers: int, people: list[str]) -> brm.Campaign:
    """A campaign whose questions want this many answers, a few of them two."""
    random = np.random.default_rng(0)
    prompts = max(8, answers // 5)
    embeddings = random.standard_normal((prompts * 5, 4)).astype(np.float32)
    texts = [f"# Response {k}\n\nIt has **{k}** words.\n\n- one\n- two" for k in range(len(embeddings))]
    brm.save_pool(folder / "pool", brm.ResponsePool(embeddings, np.repeat(np.arange(prompts), 5), texts))
    campaign = brm.Campaign.create(folder / "campaign", folder / "pool")
    twice = max(1, answers // 20)
    if answers > 2 * twice:
        campaign.ask(Request(size=answers - 2 * twice, design="random"))
    campaign.ask(Request(size=twice, design="random", overlap=2, annotators=dict.fromkeys(people)))
    return campaign


class Server:
    """``bayesrm campaign label`` in a process of its own."""

    def __init__(self, directory: Path, people: list[str], *options: str) -> None:
        self._command = [sys.executable, "-m", "bayesrm.cli", "campaign", "label", str(directory), *options]
        for name in people:
            self._command += ["--annotator", name]
        self.links: dict[str, str] = {}
        self.port = "0"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, on the port that it had, and read the links."""
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [*self._command, "--port", self.port],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        printed = []
        for line in self.process.stdout:
            printed.append(line)
            if found := re.match(r"(.+): (http://\S+)", line.strip()):
                self.links[found[1]] = found[2]
            if line.startswith("Ctrl-C"):
                self.port = re.search(r":(\d+)/", next(iter(self.links.values())))[1]
                return
        raise RuntimeError(f"the page was not served: {''.join(printed)}")

    def stop(self, how: int = signal.SIGINT) -> int:
        """End it, and say how it ended."""
        self.process.send_signal(how)
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode


@dataclass
class Noted:
    """What the server acknowledged, by question and annotator."""

    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    undone: int = 0
    cuts: int = 0
    errors: list[str] = field(default_factory=list)

    async def look(self, name: str, response: Response) -> None:
        """Note a response as the browser got it."""
        if response.status != 200 or "/api/" not in response.url:
            return
        sent, got = json.loads(response.request.post_data or "{}"), await response.json()
        if response.url.endswith("/api/answer") and got["became"] in ("kept", "already"):
            self.answers[sent["question"], name] = sent["side"]
        if response.url.endswith("/api/undo") and got["undone"]:
            del self.answers[got["question"]["id"], name]
            self.undone += 1


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        # Chromium has a socket in its temporary folder, whose path must not be long.
        environment = {**os.environ, "TMPDIR": "/tmp"}
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options, env=environment)
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(browser: Browser, link: str, noted: Noted, name: str, phone: bool = False) -> Page:
    """The page of a link, watched."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 800}
    context = await browser.new_context(viewport=size, has_touch=phone, is_mobile=phone)
    page = await context.new_page()
    looked: set[asyncio.Task] = set()

    def look(response: Response) -> None:
        task = asyncio.ensure_future(noted.look(name, response))
        looked.add(task)
        task.add_done_callback(looked.discard)

    page.on("response", look)
    page.on("pageerror", lambda error: noted.errors.append(str(error)))
    await page.goto(link)
    return page


READY, DONE = "body[data-state=ready]", "body[data-state=done]"


async def give(page: Page, side: str, phone: bool) -> None:
    """One answer, by touch or by key."""
    if phone:
        await page.tap(f"#choices [data-side={side}]")
    else:
        await page.wait_for_timeout(220)  # keys that come sooner are not meant for this question
        await page.keyboard.press(SIDES[side])


async def annotate(
    page: Page, name: str, noted: Noted, seed: int, phone: bool, cut_every: int, undo_every: int
) -> None:
    """Answer until all is done, at random, with the network cut now and then."""
    random = np.random.default_rng(seed)
    number = 0
    while True:
        await page.wait_for_selector(f"{READY}, {DONE}", timeout=300_000)
        if await page.query_selector(DONE):
            return
        number += 1
        side = str(random.choice(list(SIDES), p=[0.4, 0.4, 0.1, 0.1]))
        if cut_every and number % cut_every == 0:
            await page.context.set_offline(True)
            await give(page, side, phone)
            await page.wait_for_selector("#banner:not([hidden])")
            noted.cuts += 1
            await page.context.set_offline(False)
        elif undo_every and number % undo_every == 0:
            await page.wait_for_timeout(220)
            await (page.tap("#choices .undo") if phone else page.keyboard.press("u"))
        else:
            await give(page, side, phone)


async def endure(
    folder: Path, answers: int, kills: int, cut_every: int = 10, undo_every: int = 13
) -> dict[str, object]:
    """All of it; raises AssertionError where anything was lost, doubled or invented."""
    people = ["ana", "bo", "cy"]
    campaign = make_campaign(folder, answers, people)
    server = Server(campaign.directory, people)
    server.start()
    noted, begun, killed = Noted(), time.perf_counter(), 0
    try:
        async with browsing() as browser:
            pages = {
                name: await open_page(browser, server.links[name], noted, name, phone=name == "cy")
                for name in people
            }
            tasks = [
                asyncio.ensure_future(annotate(page, name, noted, seed, name == "cy", cut_every, undo_every))
                for seed, (name, page) in enumerate(pages.items())
            ]
            for kill in range(kills):
                while len(noted.answers) < (kill + 1) * answers // (kills + 1) and not all(
                    t.done() for t in tasks
                ):
                    await asyncio.sleep(0.02)
                server.stop(signal.SIGKILL)
                killed += 1
                await asyncio.to_thread(server.start)
            await asyncio.gather(*tasks)
            await asyncio.sleep(0.5)
    finally:
        ended = server.stop()
    rows = campaign.store.answers()
    questions = {question.id: question for question in campaign.store.questions()}
    kept = {(row.question, row.annotator): row.verdict for row in rows}
    said = {
        (question, name): questions[question].verdict(side) for (question, name), side in noted.answers.items()
    }
    per_question: dict[str, int] = {}
    for row in rows:
        per_question[row.question] = per_question.get(row.question, 0) + 1
    assert noted.errors == []
    assert len(kept) == len(rows), "an answer is there twice"
    assert said == kept, "what was acknowledged and what is there differ"
    assert {name: question.wanted for name, question in questions.items()} == per_question
    assert len(rows) == answers
    assert ended == 0
    return {
        "answers": len(rows),
        "kills": killed,
        "network cuts": noted.cuts,
        "undone": noted.undone,
        "seconds": round(time.perf_counter() - begun, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(asyncio.run(endure(Path(temporary), asked.answers, asked.kills))))
