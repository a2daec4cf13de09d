"""Who may talk to the studio: each rule against a real server, with requests as bytes on the wire."""

import io
import json
import signal
import socket
import struct
import sys
import zlib

import pytest
from PIL import Image

from convsmith.cli.main import run
from convsmith.studio.serve import listen
from tests.studio.studio_process import running


def test_it_listens_on_the_loopback_address_alone(studio):
    with open("/proc/net/tcp", encoding="ascii") as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    addresses = {address for address, port in (entry.split(":") for entry in listening) if int(port, 16) == studio.port}
    assert addresses == {f"{struct.unpack('<I', socket.inet_aton('127.0.0.1'))[0]:08X}"}
    with open("/proc/net/tcp6", encoding="ascii") as table:
        assert not [line for line in table if line.split()[1].endswith(f":{studio.port:04X}")]


def test_the_token_becomes_a_strict_cookie_and_leaves_the_address(studio):
    status, headers, _ = studio.ask(f"/?token={studio.token}")
    assert (status, headers["location"]) == (303, "/")
    parts = {part.strip().lower() for part in headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict"} <= parts
    assert studio.token not in headers["set-cookie"]
    status, _, page = studio.ask("/", cookie=studio.enter())
    assert status == 200
    assert b"studio.css" in page


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/session", "/api/pictures/sample/8x8", "/nowhere"])
@pytest.mark.parametrize("cookie", [None, "", "convsmith-{port}=", "convsmith-{port}=wrong", "convsmith-1={secret}"])
def test_nothing_is_shown_without_the_cookie(studio, path, cookie):
    secret = studio.enter().partition("=")[2]
    given = cookie and cookie.format(port=studio.port, secret=secret)
    status, headers, body = studio.ask(path, cookie=given)
    assert status == 403
    assert b"convsmith studio" in body
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "query", ["token=", "token=wrong", "token={token}x", "token={token}&token=wrong", "Token={token}"]
)
def test_a_wrong_token_opens_nothing(studio, query):
    status, headers, _ = studio.ask(f"/?{query.format(token=studio.token)}")
    assert status == 403
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}",
     "0.0.0.0:{port}", "[::1]:{port}", "127.0.0.1:{port}@evil.example"],
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_gets_nothing(studio, host):
    """DNS rebinding: the page of evil.example reaches the port, its own name in Host, even with token and cookie."""
    cookie = studio.enter()
    for path in ("/", f"/?token={studio.token}", "/api/session"):
        status, headers, body = studio.ask(path, host=host.format(port=studio.port), cookie=cookie)
        assert status == 403
        assert "set-cookie" not in headers
        assert b"small" not in body


def test_two_hosts_are_none(studio):
    status, _, _ = studio.ask("/api/session", headers=[("Host", "evil.example")], cookie=studio.enter())
    assert status in (400, 403)
    assert studio.ask("/api/session", host=f"localhost:{studio.port}", cookie=studio.enter())[0] == 200


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_only_the_studios_own_page_may_post(studio, origin):
    headers = [] if origin is None else [("Origin", origin.format(port=studio.port))]
    body = json.dumps({"text": "", "name": "x.toml"}).encode()
    for path in ("/api/design", "/api/save", "/api/pictures"):
        status, _, _ = studio.ask(path, "POST", body, headers, cookie=studio.enter())
        assert status == 403
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert studio.ask("/api/session", method, headers=headers, cookie=studio.enter())[0] == 403
    assert not (studio.folder / "x.toml").exists()


def test_every_answer_carries_the_policy(studio):
    cookie = studio.enter()
    for path, sent in (
        ("/", cookie),
        ("/static/main.js", cookie),
        ("/api/session", cookie),
        ("/", None),
        ("/nowhere", cookie),
    ):
        _, headers, _ = studio.ask(path, cookie=sent)
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    _, _, page = studio.ask("/", cookie=cookie)
    assert b"<style" not in page
    assert b" style=" not in page
    assert page.count(b"<script") == page.count(b'<script type="module" src=')


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/%2e%2e%2f%2e%2e%2fpyproject.toml",
     "/static//etc/passwd", "/static/%2Fetc%2Fpasswd", "/static/..\\app.py", "/static/main.js%00.html", "/static/",
     "/api/pictures/..%2f..%2fsmall.toml/8x8", "/api/pictures/..%2fsample/8x8", "/api/zoo/..%2f..%2ferrors",
     "/api/zoo/%2Fetc%2Fpasswd"],
)  # fmt: skip
def test_no_path_leads_to_a_file(studio, path):
    status, _, body = studio.ask(path, cookie=studio.enter())
    assert status == 404
    assert b"import" not in body
    assert b"root:" not in body


@pytest.mark.parametrize(
    "name",
    [
        "../out.toml",
        "/tmp/out.toml",
        "a/b.toml",
        "a\\b.toml",
        "..toml",
        ".toml",
        "x.py",
        "x.toml\n",
        "x\0.toml",
        "",
        "~.toml",
    ],
)
def test_a_design_is_saved_under_a_plain_name_only(studio, name):
    text = (studio.folder / "small.toml").read_text()
    before = sorted(studio.folder.parent.rglob("*"))
    status, _, body = studio.post("/api/save", json.dumps({"opened": 0, "name": name, "text": text}).encode())
    assert status == 200
    assert json.loads(body)["ok"] is False
    assert sorted(studio.folder.parent.rglob("*")) == before


def test_bodies_have_a_limit_whatever_they_claim(studio):
    status, _, body = studio.post("/api/design", b'{"text": "' + b"x" * 1_100_000 + b'"}')
    assert status == 413
    assert "too large" in json.loads(body)["error"]["message"]
    origin, cookie = f"http://127.0.0.1:{studio.port}", studio.enter()
    with socket.create_connection(("127.0.0.1", studio.port), timeout=30) as line:
        head = f"POST /api/design HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\n"
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for _ in range(24):
                line.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            line.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # it may hang up before it has heard everything
        assert b"413" in line.recv(4096).split(b"\r\n")[0]
    status, _, _ = studio.ask(
        "/api/pictures", "POST", None, [("Origin", origin), ("Content-Length", "99999999999")], cookie=cookie
    )
    assert status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"text"',
        b"\xff\xfe",
        b'{"text": 1}',
        b'{"text": null}',
        b"{}",
        b"[" * 50_000,
        b'{"text": "a = ' + b"[" * 50_000 + b'"}',
    ],
)
def test_what_is_no_request_gets_an_error_and_no_traceback(studio, body):
    for name in ("design", "edit", "save", "layers", "settings", "maps", "field"):
        status, _, answer = studio.post(f"/api/{name}", body)
        assert status in (200, 400)
        assert json.loads(answer)["ok"] is False
        assert b"Traceback" not in answer


def bomb() -> bytes:
    """A PNG of a few bytes that claims 40,000 x 40,000 pixels."""
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", bomb()])
def test_what_is_no_picture_is_refused(studio, content):
    status, _, body = studio.post("/api/pictures", content)
    assert status == 200
    assert json.loads(body)["error"]["message"].startswith("not a picture: ")


def test_a_picture_comes_back_as_pixels_only(studio):
    whole = io.BytesIO()
    Image.new("RGB", (30, 20), (10, 200, 30)).save(whole, format="JPEG", comment=b"a secret", quality=95)
    status, _, body = studio.post("/api/pictures", whole.getvalue())
    name = json.loads(body)["id"]
    status, headers, png = studio.ask(f"/api/pictures/{name}/20x30", cookie=studio.enter())
    assert (status, headers["content-type"]) == (200, "image/png")
    assert b"a secret" in whole.getvalue()
    assert b"a secret" not in png
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (30, 20)
        assert all(abs(a - b) < 6 for a, b in zip(picture.getpixel((3, 3)), (10, 200, 30), strict=True))
    for size in ("0x8", "8", "8x8x8", "99999x1", "-1x8", "3000x3000", "axb"):
        assert studio.ask(f"/api/pictures/{name}/{size}", cookie=studio.enter())[0] == 404


@pytest.mark.slow
def test_a_port_in_use_is_said_and_the_next_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(tmp_path, port=port) as studio:
            assert port < studio.port <= port + 50
            assert studio.ask("/", cookie=studio.enter())[0] == 200
            studio.process.send_signal(signal.SIGINT)
            _, told = studio.process.communicate(timeout=20)
    assert f"port {port} is in use, taking {studio.port}" in told


def test_a_short_answer_does_not_wait_to_be_filled_up():
    with listen(0) as listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly_also_with_a_browser_that_waits(tmp_path):
    with running(tmp_path) as studio, socket.create_connection(("127.0.0.1", studio.port)) as idle:
        assert studio.ask("/", cookie=studio.enter())[0] == 200
        idle.sendall(b"GET / HTTP/1.1\r\n")
        studio.process.send_signal(signal.SIGINT)
        out, told = studio.process.communicate(timeout=20)
    assert studio.process.returncode == 0
    assert out == ""
    assert told.splitlines()[-1] == "studio ended"
    assert "Traceback" not in told


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "convsmith.studio.serve", raising=False)
    assert run(["studio", "--no-open"]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert 'pip install "convsmith[studio]"' in told.err


@pytest.mark.parametrize(
    ("reference", "said"),
    [("nothing.toml", "readable"), ("zoo:resnet81", "did you mean"), ("weights.pt", "never read")],
)
def test_a_design_that_is_none_is_said_before_anything_opens(reference, said, capsys):
    assert run(["studio", "--no-open", reference]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err
