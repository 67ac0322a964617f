"""The page in a real browser: keys, touch, undo, network cuts and kills."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
    pytest.skip("no Chromium on this machine", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parent))
from page_endurance import Server, endure


def test_three_annotators_through_network_cuts_and_a_kill_lose_and_double_nothing(tmp_path):
    done = asyncio.run(endure(tmp_path, answers=15, kills=1, cut_every=3, undo_every=4))
    assert (done["answers"], done["kills"]) == (15, 1)
    assert done["network cuts"] >= 3
    assert done["undone"] >= 1


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
