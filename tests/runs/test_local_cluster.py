"""Workers of this machine obey the process that started them and nobody else, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from distributed import Client
from distributed.comm import connect
from distributed.security import Security

from bayesrm.runs.local_cluster import local_cluster

STRANGER = """
import encodings.idna, os, socket, ssl, sys

os.setgroups([])
os.setgid({uid})
os.setuid({uid})
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for address in sys.argv[2:]:
    host, port = address.split("://")[1].rsplit(":", 1)
    for wrapped in (context.wrap_socket, lambda plain: plain):
        try:
            with wrapped(socket.create_connection((host, int(port)), 10)) as connection:
                connection.settimeout(1)  # Dask speaks first
                said = connection.recv(1)
        except (ssl.SSLError, ConnectionError, TimeoutError):
            said = b""
        print("let in" if said else "refused")
try:
    os.listdir(sys.argv[1])
except PermissionError:
    print("refused")
else:
    print("let in")
"""
NOBODY = 65534


@pytest.fixture(scope="module")
def temporary_files() -> Iterator[Path]:
    """Where temporary files go meanwhile, open to all users as a machine's folder is."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "tmp"
        folder.mkdir()
        for each in (Path(parent), folder):
            each.chmod(0o1777)
        before = tempfile.tempdir
        tempfile.tempdir = str(folder)
        yield folder
        tempfile.tempdir = before


@pytest.fixture(scope="module")
def cluster(temporary_files: Path) -> Iterator[Client]:
    with local_cluster(1) as client:
        yield client
    assert not list(temporary_files.rglob("*"))


def doors(client: Client) -> list[str]:
    """Where somebody listens: the scheduler, the worker, and the process that looks after the worker."""
    workers = client.scheduler_info()["workers"]
    return [client.scheduler.address, *workers, *(worker["nanny"] for worker in workers.values())]


async def knock(address: str, security: Security) -> str:
    """What comes of asking for a name at an address."""
    try:
        door = await connect(address, timeout=5, **security.get_connection_args("client"))
        await door.write({"op": "identity", "reply": True})
        answer = await asyncio.wait_for(door.read(), 5)
        await door.close()
    except (OSError, TypeError, RuntimeError) as error:
        return type(error).__name__
    return str(answer["type"])


def test_a_client_with_the_certificate_is_answered_at_every_door(cluster):
    assert cluster.submit(int, "1").result() == 1
    assert [asyncio.run(knock(door, cluster.security)) for door in doors(cluster)] == [
        "Scheduler",
        "Worker",
        "Nanny",
    ]


@pytest.mark.parametrize("protocol", ["tls", "tcp"])
@pytest.mark.parametrize("certificate", ["none", "of another cluster"])
def test_a_client_without_it_is_refused_at_every_door(cluster, certificate, protocol):
    security = Security() if certificate == "none" else Security.temporary()
    security.require_encryption = False
    for door in doors(cluster):
        assert door.startswith("tls://127.0.0.1:")
        answer = asyncio.run(knock(door.replace("tls", protocol, 1), security))
        assert answer not in ("Scheduler", "Worker", "Nanny"), door


def test_the_key_is_in_no_file_and_in_no_list_of_processes(cluster, temporary_files):
    """What starts a process is for everybody to see, so it must not have the key; nor is there a file with it."""
    shown = subprocess.run(["ps", "axeww", "-o", "pid,command"], capture_output=True, check=False).stdout
    files = [path.read_bytes() for path in temporary_files.rglob("*") if path.is_file()]
    assert not [True for content in (shown, *files) if b"PRIVATE KEY" in content]
    assert "PRIVATE KEY" in cluster.security.tls_worker_key


def test_the_folder_that_workers_import_from_is_theirs(cluster, temporary_files):
    (folder,) = temporary_files.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(
        Path(path).is_relative_to(folder)
        for path in cluster.run(lambda dask_worker: dask_worker.local_directory).values()
    )


def test_no_profiler_looks_at_the_workers_threads(cluster):
    """It holds HDF5's handles for a moment, and results of one seed then differ in bytes."""
    assert not any(cluster.run(lambda dask_worker: "profile" in dask_worker.periodic_callbacks).values())


@pytest.mark.parametrize("page", ["", "health", "info/main/workers.html", "json/counts.json", "metrics", "status"])
def test_dask_shows_no_page(cluster, page):
    """Dask opens web servers whatever one asks for; there is nothing behind them."""
    ports = set(cluster.run(lambda dask_worker: dask_worker.http_server.port).values())
    ports.add(cluster.run_on_scheduler(lambda dask_scheduler: dask_scheduler.http_server.port))
    assert len(ports) == 2
    for port in ports:
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_of_the_machine_is_refused(cluster, temporary_files):
    (folder,) = temporary_files.iterdir()
    command = [sys.executable, "-c", STRANGER.format(uid=NOBODY), folder, *doors(cluster)]
    stranger = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert stranger.stderr == ""
    assert stranger.stdout.split("\n") == ["refused"] * 7 + [""]


def test_two_clusters_on_a_machine_do_not_mind_each_other():
    """Neither takes a port that the other wants; warnings are errors here."""
    with local_cluster(1) as one, local_cluster(1) as other:
        assert (one.submit(int, "1").result(), other.submit(int, "2").result()) == (1, 2)
        assert one.security.tls_client_key != other.security.tls_client_key
        # Ctrl-C reaches this process, and none of the workers.
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert all(signal.SIGINT in blocked for blocked in one.run(_blocked_signals).values())


def _blocked_signals():
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
