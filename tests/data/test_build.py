"""The building of a cache entry: the same bytes however it is divided, each file read once, no process left behind."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from convsmith.data import decode, open_images, resize
from convsmith.data.crew import in_order
from tests.data.samples import encode, fill_class, noise, photograph, save, two_classes

THIS = os.getpid()
OTHERS: set[psutil.Process] = set()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Ninety images of three formats in two classes, one of them damaged."""
    root = two_classes(tmp_path / "images", 30)
    for number in range(30):
        content = encode(photograph(number % 3, 90 + number, 110), "JPEG")
        save(root / "cat" / f"photo{number:02}.jpg", content[:-300] if number == 17 else content)
    return root


@pytest.fixture(autouse=True)
def others() -> Iterator[None]:
    """Processes of other tests, such as a server that several of them ask, are not workers."""
    OTHERS.update(psutil.Process().children())
    yield
    OTHERS.clear()


def crew_left() -> set[psutil.Process]:
    return set(psutil.Process().children()) - OTHERS


def entry(root: Path, cache: Path) -> dict[str, bytes]:
    open_images(root, side=24, cache=cache)
    (folder,) = cache.iterdir()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("fork", [True, False])
def test_the_number_of_workers_leaves_no_trace(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork: bool
) -> None:
    monkeypatch.setattr("convsmith.data.build.in_order", functools.partial(in_order, fork=fork))
    entries = []
    for workers in (1, 2, 3, 7):
        monkeypatch.setattr("convsmith.data.build.available_threads", lambda workers=workers: workers)
        entries.append(entry(mixed, tmp_path / f"cache{workers}"))
    assert set(entries[0]) == {"pixels.npy", "images.json"}
    assert entries[1:] == entries[:1] * 3


def test_each_file_is_read_once_but_for_the_sample(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(path: str) -> bytes:
        reads.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr("convsmith.data.build.available_threads", lambda: 1)
    monkeypatch.setattr("convsmith.data.build.read_content", counted)
    monkeypatch.setattr("convsmith.data.build._SAMPLE", 5)
    open_images(mixed, side=24, channels=3)
    assert len(reads) == 90 + 5
    assert len(set(reads)) == 90


@pytest.mark.parametrize("case", ["channels", "side", "fit"])
def test_a_sample_that_misleads_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    odd = {"channels": (10, 10, 3), "side": (30, 30), "fit": (10, 40)}[case]
    for name in ("cat", "dog"):
        fill_class(tmp_path / name, 10, shape=(10, 10))
    for number in range(30):
        save(tmp_path / "cat" / f"0{number}odd.png", encode(noise(number, *odd)))
    monkeypatch.setattr("convsmith.data.build._SAMPLE", 2)  # the first and the last
    images = open_images(tmp_path)
    assert images.channels == (3 if case == "channels" else 1)
    assert images.fit == ("letterbox" if case == "fit" else "squash")
    assert images.side == (32 if case == "side" else 10 if case == "channels" else 8)
    for name, pixels in zip(images.names, images.pixels, strict=True):
        oracle = resize(decode((tmp_path / name).read_bytes()), images.side, images.fit)
        np.testing.assert_array_equal(pixels, np.broadcast_to(oracle, pixels.shape))


def number_and_process(number: int) -> list[bytes]:
    return [str(number).encode(), str(os.getpid()).encode(), bytes(number * 1000)]


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_whoever_worked(workers: int, fork: bool) -> None:
    results = [[bytes(part) for part in parts] for parts in in_order(number_and_process, 23, workers, fork=fork)]
    assert [(parts[0], len(parts[2])) for parts in results] == [(b"%d" % n, n * 1000) for n in range(23)]
    assert len({parts[1] for parts in results}) == (workers if fork else 1)
    assert list(in_order(number_and_process, 0, workers, fork=fork)) == []


def test_a_slow_worker_holds_up_no_other_and_is_not_left_far_behind(tmp_path: Path) -> None:
    def work(number: int) -> list[bytes]:
        (tmp_path / str(number)).touch()
        while number == 0 and not (tmp_path / "8").exists():
            time.sleep(0.01)
        return [b"%d" % number]

    with contextlib.closing(in_order(work, 100, 2)) as results:
        assert next(results) == [b"0"]
        assert len(list(tmp_path.iterdir())) < 20
        assert [int(parts[0]) for parts in results] == list(range(1, 100))


@pytest.mark.parametrize("deadly", [{5}, {0, 1}, {3, 4}, set(range(12))])
def test_what_a_killed_worker_left_is_done_here(deadly: set[int]) -> None:
    def work(number: int) -> list[bytes]:
        if number in deadly and os.getpid() != THIS:
            os.kill(os.getpid(), signal.SIGKILL)
        return number_and_process(number)

    results = list(in_order(work, 12, 2))
    assert [int(parts[0]) for parts in results] == list(range(12))
    here = {number for number, parts in enumerate(results) if int(parts[1]) == THIS}
    assert deadly <= here
    if deadly == {5}:
        assert len(here) <= 2  # the other worker goes on, and the dead one had been given two


@pytest.mark.parametrize("granted", [0, 1])
def test_where_no_process_is_to_be_had_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch, granted: int) -> None:
    fork, handles = os.fork, len(os.listdir("/proc/self/fd"))
    answers = iter([fork] * granted)

    def refused() -> int:
        answer = next(answers, None)
        if answer is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return answer()

    monkeypatch.setattr("convsmith.data.crew.os.fork", refused)
    results = list(in_order(number_and_process, 9, 2))
    assert [int(parts[0]) for parts in results] == list(range(9))
    assert {int(parts[1]) == THIS for parts in results} == {granted == 0}
    assert len(os.listdir("/proc/self/fd")) == handles


@pytest.mark.parametrize("fork", [True, False])
def test_the_failure_of_the_work_is_told(fork: bool) -> None:
    def work(number: int) -> list[bytes]:
        return [b"%d" % (1 // (number - 7))]

    results = in_order(work, 10, 2, fork=fork)
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert not crew_left()


def test_nobody_waits_for_a_worker_whose_result_is_not_wanted() -> None:
    reading, writing = os.pipe()

    def work(number: int) -> list[bytes]:
        return [os.read(reading, 1) if number >= 4 else b""]  # for ever

    results = in_order(work, 10, 2)
    next(results)
    results.close()
    assert not crew_left()
    for handle in (reading, writing):
        os.close(handle)


def test_ctrl_c_ends_the_workers(mixed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convsmith.data.build.available_threads", lambda: 2)
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(len(crew_left()))
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(mixed, side=24, progress=stop)
    assert set(seen) == {2}
    assert not crew_left()
    assert list(cache.iterdir()) == []


def test_a_worker_whose_master_is_gone_ends_by_itself() -> None:
    def work(number: int) -> list[bytes]:
        return [bytes(1 << 22)]

    reading, writing = os.pipe()
    master = os.fork()
    if master == 0:
        results = in_order(work, 1000, 2)
        next(results)
        os.write(writing, b",".join(b"%d" % child.pid for child in crew_left()))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(master, 0)
    workers = [int(text) for text in os.read(reading, 100).split(b",")]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(alive(worker) for worker in workers)
    for handle in (reading, writing):
        os.close(handle)


def alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_fork_beside_busy_threads_is_safe(mixed: Path, cache: Path) -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=lambda: [noise(1, 50, 50) for _ in iter(stop.is_set, True)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert len(open_images(mixed)) == 89
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_worker_does_not_hear_ctrl_c() -> None:
    """It would end with the terminal's other processes, before the one that still wants its results."""

    def work(number: int) -> list[bytes]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return number_and_process(number)

    results = list(in_order(work, 8, 2))
    assert THIS not in {int(parts[1]) for parts in results}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == set()
