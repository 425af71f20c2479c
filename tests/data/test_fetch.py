"""Downloads from a local server: resumed, checked, unpacked within limits, and clear where nothing answers."""

import hashlib
import io
import shutil
import socket
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cnnkit.data import archives, cards, fetch
from cnnkit.errors import CnnkitError, DataError
from cnnkit.inputs.image.loading import load


class Handler(BaseHTTPRequestHandler):
    """Serves the bytes in `server.files`; `server.cut` breaks the connection after so many bytes, so many times."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Range")))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        content = self.server.files.get(self.path)
        if content is None or status != 200:
            self.send_error(404 if content is None else status)
            return
        start = 0
        if self.headers.get("Range") and self.server.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.server.cuts:
            content = content[: start + self.server.cuts.pop(0)]
        self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("CNNKIT_DATA", raising=False)
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.files, made.seen, made.cuts, made.statuses, made.ranges = {}, [], [], [], True
    made.address = f"http://127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def content(toy_arrays):
    """The bytes of an .npz of 60 images."""
    x, y = toy_arrays()
    file = io.BytesIO()
    np.savez(file, x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    return file.getvalue()


def folder_of(path):
    """Where the cache keeps a card's files."""
    return fetch._cached(cards.load(path))


SPLITS = "".join(
    f'{split} = {{ file = "toy.npz", images = "x_{split}", labels = "y_{split}" }}\n' for split in ("train", "test")
)


@pytest.fixture
def card(tmp_path, server, content):
    """Write a card whose file the server has."""

    right = hashlib.sha256(content).hexdigest()

    def write(*, url=None, checksum=right, more="", name="toy"):
        server.files.setdefault("/toy.npz", content)
        url = url or f"{server.address}/toy.npz"
        urls = url if url.startswith("[") else f'"{url}"'
        path = tmp_path / f"{name}.toml"
        stated = f'sha256 = "{checksum}"\n' if checksum else ""
        path.write_text(
            f'title = "Toy"\nsource = "http://example.org/toy"\nreader = "npz"\n[splits]\n{SPLITS}'
            f'[[files]]\nname = "toy.npz"\nurl = {urls}\n{stated}{more}'
        )
        return path

    return write


def test_a_file_is_downloaded_checked_and_found_again(server, card, fresh_cache, content):
    calls = []
    splits = load(card(), progress=lambda *call: calls.append(call))
    assert len(splits.train) == 36 and len(splits.test) == 20
    assert (folder_of(card()) / "toy.npz").read_bytes() == content
    assert calls[-1][1:] == (len(content), len(content)) and "Downloading toy.npz" in calls[-1][0]
    load(card())
    assert len(server.seen) == 1, "the second time it is there"
    assert fetch.fetch(cards.load(card())) == [folder_of(card()) / "toy.npz"]


def test_a_broken_connection_is_resumed_where_it_broke(server, card, content, fresh_cache):
    server.cuts = [1000, 500]
    load(card())
    assert server.seen == [("/toy.npz", None), ("/toy.npz", "bytes=1000-"), ("/toy.npz", "bytes=1500-")]
    assert [path.name for path in folder_of(card()).iterdir()] == ["toy.npz"], "no .part is left"


def test_a_stopped_download_is_resumed_by_the_next_command(server, card, fresh_cache, content):
    server.cuts = [100, 100, 100]
    with pytest.raises(DataError, match=r"could not be downloaded: .*stopped after 300 of .* Run the command again"):
        load(card())
    assert (folder_of(card()) / "toy.npz.part").read_bytes() == content[:300]
    load(card())
    assert server.seen[-1] == ("/toy.npz", "bytes=300-")


def test_a_server_without_ranges_sends_it_from_the_start(server, card):
    server.cuts, server.ranges = [1000], False
    assert len(load(card()).train) == 36


def test_without_a_checksum_nothing_is_glued_together(server, card):
    server.cuts = [1000]
    load(card(checksum=None))
    assert server.seen == [("/toy.npz", None), ("/toy.npz", None)]


def test_a_wrong_checksum_is_refused_and_the_file_deleted(server, card, fresh_cache):
    path = card(checksum="0" * 64)
    with pytest.raises(DataError, match=r"checksum of toy\.npz from .* differs .* run the command again") as error:
        load(path)
    assert "\n" not in str(error.value)
    assert list(folder_of(path).iterdir()) == []


def test_md5_is_checked_too(card, content):
    right, wrong = hashlib.md5(content).hexdigest(), "0" * 32
    assert len(load(card(checksum=None, more=f'md5 = "{right}"', name="one")).train) == 36
    with pytest.raises(DataError, match="checksum"):
        load(card(checksum=None, more=f'md5 = "{wrong}"', name="two"))


def test_a_part_of_another_file_is_found_out(server, card, fresh_cache, content):
    part = folder_of(card()) / "toy.npz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(700))
    with pytest.raises(DataError, match="differs"):
        load(card())
    assert not part.exists()
    assert len(load(card()).train) == 36


def test_a_part_that_is_whole_is_used(server, card, fresh_cache, content):
    part = folder_of(card()) / "toy.npz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    assert len(load(card()).train) == 36
    assert server.seen == [("/toy.npz", f"bytes={len(content)}-")]


def test_more_bytes_than_the_card_states_are_not_kept(card, fresh_cache):
    path = card(checksum=None, more="bytes = 100")
    with pytest.raises(DataError, match="sends more than the 100 bytes"):
        load(path)
    assert list(folder_of(path).iterdir()) == []


def test_a_busy_server_is_asked_again(server, card):
    server.statuses = [503, 429]
    assert len(load(card()).train) == 36


def test_a_missing_file_is_said_once_and_with_what_to_do(server, card, fresh_cache):
    with pytest.raises(DataError, match=r"/gone\.npz answers 404 .*get toy\.npz from .* and put it into") as error:
        load(card(url=f"{server.address}/gone.npz"))
    assert len(server.seen) == 1 and str(folder_of(card())) in str(error.value)
    assert "set CNNKIT_DATA to the folder in which it is as toy" in str(error.value)


def test_the_next_address_is_tried(server, card):
    urls = f'["{server.address}/gone.npz", "{server.address}/toy.npz"]'
    assert len(load(card(url=urls)).train) == 36
    assert [path for path, _ in server.seen] == ["/gone.npz", "/toy.npz"]


def test_offline_the_line_says_which_file_to_put_where(card, fresh_cache, content):
    with socket.socket() as taken:  # a port that nobody answers at
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/toy.npz"
        path = card(url=url)
        with pytest.raises(DataError, match="does not answer") as error:
            load(path)
        line = str(error.value)
        assert url in line and str(folder_of(path)) in line and "\n" not in line
        (folder_of(path) / "toy.npz").write_bytes(content)  # as the line says
        assert len(load(path).train) == 36


def test_another_form_is_fetched_where_the_first_is_gone(server, card):
    path = card(url=f"{server.address}/gone.npz", checksum=None)
    path.write_text(
        path.read_text()
        + '[[alternatives]]\nreader = "npz"\n[alternatives.splits]\n'
        + SPLITS.replace("toy.npz", "other.npz")
        + f'[[alternatives.files]]\nname = "other.npz"\nurl = "{server.address}/toy.npz"\n'
    )
    assert len(load(path).train) == 36


def test_the_shared_folder_is_used_first_and_as_it_is(server, card, tmp_path, monkeypatch, content):
    shared = tmp_path / "shared" / "toy"
    shared.mkdir(parents=True)
    (shared / "toy.npz").write_bytes(content)
    monkeypatch.setenv("CNNKIT_DATA", str(tmp_path / "shared"))
    assert len(load(card(checksum="0" * 64)).train) == 36
    assert server.seen == []


def test_a_file_put_there_by_hand_is_checked_before_it_is_unpacked(server, card, fresh_cache, content):
    box = zipped({"toy.npz": content})
    server.files["/toy.zip"] = box
    path = card(url=f"{server.address}/toy.zip", checksum=hashlib.sha256(box).hexdigest(), more='extract = ["*"]')
    path.write_text(path.read_text().replace('name = "toy.npz"\nurl', 'name = "toy.zip"\nurl'))
    folder_of(path).mkdir(parents=True)
    (folder_of(path) / "toy.zip").write_bytes(b"something else")
    assert len(load(path).train) == 36


def test_no_permission_to_write_the_cache_is_one_line(card, fresh_cache, monkeypatch):
    folder_of(card()).write_text("a file where the folder should be")
    with pytest.raises(CnnkitError, match=r"The cache .* cannot be written .* set CNNKIT_CACHE") as error:
        load(card())
    assert "\n" not in str(error.value)


# Archives -------------------------------------------------------------------------------------------------------------


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as box:
        for name, content in members.items():
            box.writestr(name, content)
    return file.getvalue()


def tarred(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tape:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tape.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_is_unpacked_as_far_as_it_is_needed(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack({"set/one.txt": b"1", "set/two.txt": b"2", "other/three.txt": b"3"}))
    archives.unpack(tmp_path / "a", tmp_path / "out", ("set/*",), None)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.txt")) == ["one.txt", "two.txt"]
    assert (tmp_path / "out" / "set" / "two.txt").read_bytes() == b"2"


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
def test_a_member_that_points_outside_is_refused(tmp_path, pack, name):
    (tmp_path / "a").write_bytes(pack({name: b"x"}))
    with pytest.raises(DataError, match="not safe to unpack"):
        archives.unpack(tmp_path / "a", tmp_path / "in" / "out", ("*",), None)
    assert not list(tmp_path.rglob("evil.txt"))


def test_links_are_left_out(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tape:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tape.addfile(link)
        entry = tarfile.TarInfo("real")
        entry.size = 1
        tape.addfile(entry, io.BytesIO(b"1"))
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    archives.unpack(tmp_path / "a.tar", tmp_path / "tar", ("*",), None)
    assert [path.name for path in (tmp_path / "tar").iterdir()] == ["real"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as box:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        box.writestr(info, "/etc/passwd")
        box.writestr("real", "1")
    archives.unpack(tmp_path / "a.zip", tmp_path / "zip", ("*",), None)
    assert [path.name for path in (tmp_path / "zip").iterdir()] == ["real"]


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_an_archive_beyond_the_limits_is_refused(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(archives, limit, 3)
    (tmp_path / "a").write_bytes(zipped({f"{k}": b"xx" for k in range(5)}))
    with pytest.raises(DataError, match="holds more than"):
        archives.unpack(tmp_path / "a", tmp_path / "out", ("*",), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "neither a zip nor a tar"),
        (zipped({"a": bytes(10_000)})[:-30], "neither a zip nor a tar|damaged"),
        (zipped({"a": b"x"}), "holds nothing called b"),
    ],
)
def test_what_is_no_such_archive_is_refused(tmp_path, content, message):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        archives.unpack(tmp_path / "a", tmp_path / "out", ("b",), None)


# What is there was verified -------------------------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path, server):
    """Write a card of class folders in a .zip that the server has."""

    def write(members, *, name="boxed", stated=True):
        box = zipped(members)
        server.files[f"/{name}.zip"] = box
        path = tmp_path / f"{name}.toml"
        checksum = f'sha256 = "{hashlib.sha256(box).hexdigest()}"\n' if stated else ""
        path.write_text(
            'title = "Boxed"\nreader = "folder"\n[splits]\ntrain = { folder = "set" }\n[[files]]\n'
            f'name = "set.zip"\nurl = "{server.address}/{name}.zip"\n{checksum}extract = ["set/*"]\n'
        )
        return path

    return write


def pictures(count=12):
    import cv2

    made = {}
    for number in range(count):
        image = np.full((8, 8), 10 * number, np.uint8)
        made[f"set/{number % 2}/{number}.png"] = cv2.imencode(".png", image)[1].tobytes()
    return made


def test_unpacking_that_was_killed_is_done_again(packed, monkeypatch, server):
    path = packed(pictures())
    whole = archives.unpack

    def killed(archive, folder, patterns, progress):
        def stop(what, done, total):
            if done == 5:
                raise KeyboardInterrupt

        whole(archive, folder, patterns, stop)

    with monkeypatch.context() as patch:
        patch.setattr(archives, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch(cards.load(path))
    assert fetch.locate(cards.load(path)) is None
    assert not list(folder_of(path).rglob("*.png"))
    fetch.fetch(cards.load(path))
    assert len(list(folder_of(path).rglob("*.png"))) == 12 and fetch.stamped_files(folder_of(path)) == 12
    assert len(server.seen) == 1, "the archive was there already"


def test_a_process_that_was_killed_while_moving_leaves_no_data_set(packed, monkeypatch):
    path = packed(pictures())
    fetch.fetch(cards.load(path))
    folder = folder_of(path)
    fetch._beside(folder, "complete.json").unlink()  # the state in which a kill leaves it
    (folder / "set/0/0.png").unlink()
    assert fetch.locate(cards.load(path)) is None
    assert len(load(path, whole=True).train) == 12


@pytest.mark.parametrize("harm", ["a member gone", "a member cut", "the archive changed"])
def test_what_no_longer_agrees_with_its_stamp_is_mended(packed, harm, server):
    path = packed(pictures())
    fetch.fetch(cards.load(path))
    folder = folder_of(path)
    if harm == "a member gone":
        (folder / "set/1/3.png").unlink()
    elif harm == "a member cut":
        (folder / "set/1/3.png").write_bytes(b"x")
    else:
        (folder / "set.zip").write_bytes(b"x")
    assert fetch.locate(cards.load(path)) is None
    fetch.fetch(cards.load(path))
    assert (folder / "set/1/3.png").read_bytes() == pictures()["set/1/3.png"]


def test_an_archive_that_is_not_safe_stays_refused(packed):
    path = packed({**pictures(), "../evil.png": b"x"})
    for _ in range(3):
        with pytest.raises(DataError, match="not safe to unpack"):
            fetch.fetch(cards.load(path))
        assert fetch.locate(cards.load(path)) is None


def test_another_card_of_the_same_name_has_another_folder(packed, tmp_path):
    right = packed(pictures())
    fetch.fetch(cards.load(right))
    before = folder_of(right)
    (tmp_path / "foreign").mkdir()
    foreign = tmp_path / "foreign" / "boxed.toml"
    packed(pictures(6), name="boxed-too", stated=False).rename(foreign)
    fetch.fetch(cards.load(foreign))
    assert folder_of(foreign) != before and folder_of(foreign).name.startswith("boxed-")
    assert len(list(before.rglob("*.png"))) == 12 and len(list(folder_of(foreign).rglob("*.png"))) == 6


def test_a_file_that_an_earlier_version_fetched_is_taken_over_if_it_is_the_one(server, card, fresh_cache, content):
    for held, asked in ((b"another file", 1), (content, 1)):
        (fresh_cache / "toy").mkdir(exist_ok=True)
        (fresh_cache / "toy" / "toy.npz").write_bytes(held)
        for path in fresh_cache.glob("toy-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert len(load(card()).train) == 36
        assert len(server.seen) == asked


def test_two_commands_at_once_fetch_one_after_the_other(packed, server):
    path = packed(pictures())
    threads = [threading.Thread(target=fetch.fetch, args=(cards.load(path),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.seen) == 1 and fetch.stamped_files(folder_of(path)) == 12
