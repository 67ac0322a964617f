"""How long an annotator waits for the next pair in live mode, while full fits run beside the page.

    python tests/benchmarks/live_page.py [--answers 150] [--thinking 0.5] [--without-a-break] [--awake] [--out FILE]

Three annotators answer over HTTP after half a second, or as long as is said: from 20,000 explicit pairs, and from all
12.5 million pairs of 5,000 responses. The time is from sending an answer to having the next question: the answer is
on disk, the posterior refitted exactly, the best candidate found and the new question kept. The processor's time is
that of the thread that does it, which other work on the machine hardly changes. Full fits begin when enough answers
came, as for users; or one after another without a break, which makes what was prepared useless each time.

Some virtual machines are several times slower for a moment after they slept, and a page whose readers think sleeps most
of the time. So it also says by how much a fixed computation is slower after so long a sleep than back to back; and
``--awake`` keeps each processor busy with a process of the lowest priority, which gives way to everything else, so that
the machine never sleeps.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import uvicorn

import bayesrm as brm
from bayesrm.campaign.asking import Request
from bayesrm.campaign.page.app import make_app
from bayesrm.campaign.page.desk import Desk
from bayesrm.campaign.page.links import Links
from bayesrm.campaign.page.live import LiveChooser
from bayesrm.campaign.page.serve import listen

PEOPLE = ("ana", "bo", "cy")
RESPONSES, DIMENSION = 5_000, 64


def slower_after(seconds: float, times: int = 7) -> float:
    """How many times as long a fixed computation takes after a sleep as back to back."""
    square = np.random.default_rng(0).standard_normal((500, 500))

    def once(pause: float) -> float:
        time.sleep(pause)
        start = time.perf_counter()
        for _ in range(3):
            square @ square
        return time.perf_counter() - start

    for _ in range(5):
        once(0.0)
    at_once = np.median([once(0.0) for _ in range(times)])
    return float(np.median([once(seconds) for _ in range(times)]) / at_once)


def _spin() -> None:
    os.nice(19)
    while True:
        pass


@contextmanager
def awake(wanted: bool) -> Iterator[None]:
    """No processor sleeps meanwhile."""
    count = (os.cpu_count() or 1) if wanted else 0
    processes = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def wait_times(
    folder: Path, candidates: int, answers: int, thinking: float, without_a_break: bool
) -> dict[str, object]:
    """Seconds from an answer to the next question, over all annotators."""
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((RESPONSES, DIMENSION)).astype(np.float32)
    texts = [f"Response **{k}**. " + "It has words. " * 50 for k in range(RESPONSES)]
    brm.save_pool(folder / "pool", brm.ResponsePool(embeddings, np.repeat(np.arange(RESPONSES // 5), 5), texts))
    campaign = brm.Campaign.create(folder / "campaign", folder / "pool", encoder="linear")
    request = Request(size=10 * answers, scope="cross-prompt", candidates=candidates, design="pa-dopt")
    chooser = LiveChooser(campaign, request)
    desk = Desk(campaign, chooser=chooser)
    links, listening = Links.of(campaign.directory, PEOPLE), listen("127.0.0.1", 0)
    app = make_app(desk, links)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_keep_alive=600)
    server = uvicorn.Server(config)
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    serving.start()
    taste, times, done = random.standard_normal(DIMENSION), [], threading.Event()
    prepared: list[bool] = []
    after = chooser._ahead.after

    def noted(live, key):
        found = after(live, key)
        prepared.append(found is not None)
        return found

    chooser._ahead.after = noted
    answer, following, spent, begun = desk.answer, desk.next, [], threading.local()

    def timed_answer(*given):
        begun.at = time.thread_time()
        return answer(*given)

    def timed_next(who):
        question = following(who)
        if hasattr(begun, "at"):  # an answer came before it, in the same thread
            spent.append(time.thread_time() - begun.at)
            del begun.at
        return question

    desk.answer, desk.next = timed_answer, timed_next

    def keep_fitting() -> None:
        while not done.wait(0.01):
            if without_a_break:
                chooser._wanted.set()

    def annotate(who: str) -> None:
        own = np.random.default_rng(PEOPLE.index(who))
        port = listening.getsockname()[1]
        line = http.client.HTTPConnection("127.0.0.1", port)

        def call(name: str, body: dict[str, object]) -> dict:
            headers = {
                "authorization": f"Bearer {links.annotators[who]}",
                "content-type": "application/json",
                "origin": f"http://127.0.0.1:{port}",
            }
            line.request("POST", f"/api/{name}", json.dumps(body), headers)
            return json.loads(line.getresponse().read())

        state = call("next", {})
        for number in range(answers // len(PEOPLE)):
            time.sleep(thinking * own.uniform(0.5, 1.5))
            question = desk._asked[state["question"]["id"]]
            reward = (embeddings[question.left] - embeddings[question.right]) @ taste
            side = "left" if own.random() < 1 / (1 + np.exp(-reward)) else "right"
            start = time.perf_counter()
            state = call(
                "answer", {"question": question.id, "side": side, "key": f"answer {number}", "seconds": 1.0}
            )
            times.append(time.perf_counter() - start)

    people = [threading.Thread(target=annotate, args=(who,)) for who in PEOPLE]
    fits = threading.Thread(target=keep_fitting)
    for thread in (*people, fits):
        thread.start()
    for thread in people:
        thread.join()
    done.set()
    fits.join()
    server.should_exit = True
    serving.join()
    rows = campaign.store.answers()
    desk.close()
    assert len({row.question for row in rows}) == len(rows) == answers // len(PEOPLE) * len(PEOPLE)
    later = np.array(times[len(PEOPLE) :])
    return {
        "pairs": candidates or RESPONSES * (RESPONSES - 1) // 2,
        "answers": len(rows),
        "full_fits": chooser._fits,
        "prepared": round(float(np.mean(prepared)), 2),
        "median_ms": round(1000 * float(np.median(later)), 1),
        "p95_ms": round(1000 * float(np.quantile(later, 0.95)), 1),
        "longest_ms": round(1000 * float(later.max()), 1),
        "processor_ms": [round(1000 * float(np.quantile(spent, at)), 1) for at in (0.5, 0.95)],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=150)
    parser.add_argument("--thinking", type=float, default=0.5, help="Seconds that an annotator reads, on average.")
    parser.add_argument("--without-a-break", action="store_true", help="Full fits one after another.")
    parser.add_argument("--awake", action="store_true", help="Keep the processors from sleeping.")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, object] = {}
    with awake(asked.awake):
        found["slower_after_sleeping"] = round(slower_after(asked.thinking), 2)
        print(
            f"after {asked.thinking} s of sleep a computation takes {found['slower_after_sleeping']} times as long"
        )
        for name, candidates in (("explicit", 20_000), ("implicit", 0)):
            with tempfile.TemporaryDirectory() as temporary:
                found[name] = wait_times(
                    Path(temporary), candidates, asked.answers, asked.thinking, asked.without_a_break
                )
            print(name, json.dumps(found[name]), flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps(found, indent=2) + "\n")
