import datetime
import ipaddress
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quorum.core.errors import MediaRefused
from quorum.core.settings import MediaAccess
from quorum.models.media import network
from quorum.models.media.fetch import MediaGone, fetched, is_public

BODY = b"moving pictures" * 100


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.5.5",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "3fff::1",
        "3fff:fff::1",
        "2001:db8::1",
        "2001:2::1",
        "64:ff9b:1::1",
        "5f00::1",
        "4000::1",
        "8000::1",
        "::7f00:1",
        "100::1",
        "192.0.0.9",
        "192.88.99.1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "8.8.8.8",
        "2606:4700::1111",
        "2400:cb00::1",
        "2a00:1450::1",
        "64:ff9b::808:808",
    ],
)
def test_public_addresses_are(address):
    assert is_public(address)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/gone":
            self.send_error(404)
        elif path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.split("?to=")[1])
            self.end_headers()
        elif path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                if self.server.stop.wait(0.05):
                    return
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 65536)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *args):
        pass


def certificate(folder):
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "media.test")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("media.test"), x509.DNSName("*.cdn.test")]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.stop = threading.Event()
    made.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.stop.set()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def names(monkeypatch, server):
    """Fake name resolution that counts the queries of each host."""
    table = {"media.test": ["127.0.0.1"], "a.cdn.test": ["127.0.0.1"], "evil.test": ["127.0.0.1"]}
    asked = []

    def resolve(host, port, *args, **kwargs):
        try:
            addresses = [str(ipaddress.ip_address(host))]
        except ValueError:
            asked.append(host)
            if host not in table:
                raise socket.gaierror(-2, "unknown") from None
            addresses = table[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(network.socket, "getaddrinfo", resolve)
    table["asked"] = asked
    return table


@pytest.fixture
def get(server, names, monkeypatch):
    connect = network.httpcore.SyncBackend.connect_tcp

    def to_the_server(self, host, port, *rest):
        assert port == 443
        return connect(self, host, server.server_address[1], *rest)

    monkeypatch.setattr(network.httpcore.SyncBackend, "connect_tcp", to_the_server)

    def run(
        path,
        *,
        hosts=("media.test", "*.cdn.test"),
        admits=lambda address: True,
        host="media.test",
        **limits,
    ):
        access = MediaAccess(hosts=hosts, **limits)
        uri = f"https://{host}{path}"
        with fetched(uri, access, admits=admits, ssl_context=server.trust) as file:
            content = file.read_bytes()
        assert not file.exists()
        return content

    return run


def test_media_is_fetched_and_removed(get, names):
    assert get("/clip.mp4") == BODY
    assert names["asked"] == ["media.test"]


def test_subdomains_are_admitted_by_a_star_only(get):
    assert get("/x", host="a.cdn.test") == BODY
    with pytest.raises(MediaRefused, match=r"media\.hosts"):
        get("/x", host="evil.test")


def test_an_address_that_is_not_public_is_refused(get):
    with pytest.raises(MediaRefused, match="not public"):
        get("/x", admits=is_public)


def test_one_private_address_among_public_ones_is_refused(get, names):
    names["media.test"] = ["93.184.216.34", "127.0.0.1"]
    with pytest.raises(MediaRefused, match="not public"):
        get("/x", admits=is_public)


def test_a_host_without_an_address_is_gone(get, names):
    del names["media.test"]
    with pytest.raises(MediaGone, match="has no address"):
        get("/x")


def test_a_name_server_that_hangs_is_within_the_time_limit(get, monkeypatch):
    asked, answer = threading.Event(), threading.Event()

    def hang(host, port, *args, **kwargs):
        asked.set()
        answer.wait(60)
        return []

    monkeypatch.setattr(network.socket, "getaddrinfo", hang)
    with pytest.raises(MediaGone, match="took too long"):
        get("/x", timeout=0.2)
    assert asked.is_set()
    assert not answer.is_set()
    answer.set()


def test_a_redirect_is_checked_again(get):
    assert get("/to/?to=https://a.cdn.test/x") == BODY
    for place in (
        "https://evil.test/x",
        "https://127.0.0.1/x",
        "http://media.test/x",
        "file:///etc/hostname",
        "https://media.test:8443/x",
        "https://user:word@media.test/x",
    ):
        with pytest.raises(MediaRefused, match="media refused"):
            get(f"/to/?to={place}")
    with pytest.raises(MediaRefused, match="more than 5 redirects"):
        get("/loop")


def test_bytes_and_seconds_are_limited(get):
    with pytest.raises(MediaRefused, match="1,500 bytes; the limit is 1,000"):
        get("/x", max_bytes=1000)
    with pytest.raises(MediaRefused, match="more than 100,000 bytes"):
        get("/endless", max_bytes=100_000)
    with pytest.raises(MediaGone, match=r"within 0\.3 s"):
        get("/slow", timeout=0.3)


class Drip:
    """A server that speaks TLS or not, and sends one byte at a time in one phase of the answer."""

    HEAD = b"HTTP/1.1 200 OK\r\n"

    def __init__(self, folder, phase):
        certificate(folder)
        self.phase = phase
        self.stop = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.2)
        self.port = self.listener.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.stop.is_set():
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def drip(self, send, parts):
        for part in parts:
            if self.stop.wait(0.05):
                return
            try:
                send(part)
            except OSError:
                return

    def answer(self, client):
        client.settimeout(5)
        if self.phase == "handshake":
            client.recv(4096)
            # The header of a handshake record, of which the body never ends.
            record = b"\x16\x03\x03\x40\x00\x02" + bytes(999)
            self.drip(client.sendall, (bytes([one]) for one in record))
            return
        with self.context.wrap_socket(client, server_side=True) as made:
            made.recv(4096)
            send = made.sendall
            if self.phase == "status":
                self.drip(send, (bytes([one]) for one in b"HTTP/1.1 200 " + b"O" * 999))
            elif self.phase == "headers":
                send(self.HEAD)
                self.drip(send, (b"x-%d: y\r\n" % one for one in range(999)))
            elif self.phase == "informational":
                self.drip(send, (b"HTTP/1.1 100 Continue\r\n\r\n" for _ in range(999)))
            elif self.phase == "chunk header":
                send(self.HEAD + b"transfer-encoding: chunked\r\n\r\n5;")
                self.drip(send, (b"x" for _ in range(999)))
            elif self.phase == "trailer":
                send(self.HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
                self.drip(send, (b"x-%d: y\r\n" % one for one in range(999)))
            elif self.phase == "body":
                send(self.HEAD + b"content-length: 999\r\n\r\n")
                self.drip(send, (b"x" for _ in range(999)))
            elif self.phase == "redirects":
                time.sleep(0.3)
                send(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: /on\r\n\r\n")


@pytest.mark.parametrize(
    "phase",
    [
        "handshake",
        "status",
        "headers",
        "informational",
        "chunk header",
        "trailer",
        "body",
        "redirects",
    ],
)
def test_a_server_that_drips_is_cut_off_at_the_deadline(tmp_path, names, monkeypatch, phase):
    server = Drip(tmp_path, phase)
    connect = network.httpcore.SyncBackend.connect_tcp
    monkeypatch.setattr(
        network.httpcore.SyncBackend,
        "connect_tcp",
        lambda self, host, port, *rest: connect(self, host, server.port, *rest),
    )
    access = MediaAccess(hosts=("media.test",), timeout=0.8)
    begun = time.monotonic()
    try:
        with (
            pytest.raises(MediaGone, match=r"within 0\.8 s"),
            fetched(
                "https://media.test/x",
                access,
                admits=lambda address: True,
                ssl_context=server.trust,
            ),
        ):
            pytest.fail("it was fetched")
        assert time.monotonic() - begun < 3.0
    finally:
        server.stop.set()
        server.thread.join()
        server.listener.close()


def test_a_bucket_that_drips_is_cut_off_at_the_deadline(monkeypatch):
    import sys
    import types

    stop = threading.Event()

    class Drips:
        def __getattr__(self, name):
            return lambda *args, **kwargs: self

        size = 100

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def read(self, size):
            return b"" if stop.wait(0.05) else b"x"

    fake = types.ModuleType("google.cloud.storage")
    fake.Client = Drips
    monkeypatch.setitem(sys.modules, "google.cloud.storage", fake)
    import google.cloud

    monkeypatch.setattr(google.cloud, "storage", fake, raising=False)
    access = MediaAccess(buckets=("mine",), timeout=0.3)
    with pytest.raises(MediaGone, match=r"within 0\.3 s"), fetched("gs://mine/a.mp4", access):
        pytest.fail("it was fetched")
    stop.set()


def test_what_is_gone_says_so(get):
    with pytest.raises(MediaGone, match="HTTP 404"):
        get("/gone")


def test_a_certificate_for_another_name_is_refused(get, names):
    names["other.test"] = ["127.0.0.1"]
    with pytest.raises(MediaGone, match="ConnectError"):
        get("/x", host="other.test", hosts=("other.test",))


@pytest.mark.parametrize(
    "uri",
    [
        "http://media.test/x",
        "ftp://media.test/x",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "/etc/hostname",
        "",
        "https://",
        "https://[::1",
        "https://media.test:99999/x",
        "https://media.test:port/x",
        "gs://bucket/x",
        "https://media.test@evil.test/x",
        "https://media.test\\@evil.test/x",
        "https://evil.test#media.test",
        "https://evil.test/?media.test",
    ],
)
def test_other_places_are_refused(uri):
    access = MediaAccess(hosts=("media.test",), buckets=("mine",))
    with pytest.raises(MediaRefused), fetched(uri, access):
        pytest.fail("it was fetched")


def test_by_default_nothing_is_fetched(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    for uri in ((tmp_path / "a.mp4").as_uri(), "https://example.org/a.mp4", "gs://a/b"):
        with pytest.raises(MediaRefused), fetched(uri, MediaAccess()):
            pytest.fail("it was fetched")


class TestFolders:
    @pytest.fixture
    def access(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a b.mp4").write_bytes(BODY)
        (tmp_path / "secret").write_bytes(b"secret")
        (tmp_path / "inside-out").mkdir()
        (tmp_path / "inside-out" / "x").write_bytes(b"secret")
        return MediaAccess(folders=(str(tmp_path / "in"),))

    def test_a_file_is_used_in_place(self, tmp_path, access):
        path = tmp_path / "in" / "a b.mp4"
        with fetched(path.as_uri(), access) as file:
            assert file == path.resolve()
        assert path.exists()

    @pytest.mark.parametrize(
        "place", ["../secret", "..%2fsecret", "%2e%2e/secret", "../inside-out/x", "a%00b", "."]
    )
    def test_ways_out_are_refused(self, tmp_path, access, place):
        with (
            pytest.raises(MediaRefused, match="media refused"),
            fetched(f"file://{tmp_path}/in/{place}", access),
        ):
            pytest.fail("it was read")

    def test_a_link_that_leads_out_is_refused(self, tmp_path, access):
        (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
        (tmp_path / "in" / "folder").symlink_to(tmp_path)
        for place in ("link", "folder/secret"):
            with (
                pytest.raises(MediaRefused, match="not inside"),
                fetched(f"file://{tmp_path}/in/{place}", access),
            ):
                pytest.fail("it was read")

    def test_a_file_that_is_not_there_is_gone(self, tmp_path, access):
        with pytest.raises(MediaGone), fetched(f"file://{tmp_path}/in/none.mp4", access):
            pytest.fail("it was read")

    def test_whether_a_file_outside_exists_is_not_told(self, tmp_path, access):
        told = []
        for name in ("secret", "no-such-secret"):
            with (
                pytest.raises(MediaRefused) as raised,
                fetched(f"file://{tmp_path}/{name}", access),
            ):
                pytest.fail("it was read")
            told.append((type(raised.value), str(raised.value)))
        assert told[0] == told[1]

    def test_a_host_and_a_large_file_are_refused(self, tmp_path, access):
        path = tmp_path / "in" / "a b.mp4"
        with (
            pytest.raises(MediaRefused, match="must name no host"),
            fetched(f"file://server{path}", access),
        ):
            pytest.fail("it was read")
        small = MediaAccess(folders=access.folders, max_bytes=10)
        with pytest.raises(MediaRefused, match="the limit is 10"), fetched(path.as_uri(), small):
            pytest.fail("it was read")


def test_a_bucket_needs_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "google.cloud.storage", None)
    with (
        pytest.raises(MediaRefused, match="google-cloud-storage; install it"),
        fetched("gs://mine/a.mp4", MediaAccess(buckets=("mine",))),
    ):
        pytest.fail("it was fetched")


def test_a_bucket_is_read_within_limits(monkeypatch):
    import io
    import sys
    import types

    class Blob:
        size = len(BODY)

        def open(self, mode, chunk_size):
            return io.BytesIO(BODY)

    class Client:
        def bucket(self, name):
            assert name == "mine"
            return self

        def get_blob(self, name):
            return Blob() if name == "folder/a b.mp4" else None

    fake = types.ModuleType("google.cloud.storage")
    fake.Client = Client
    monkeypatch.setitem(sys.modules, "google.cloud.storage", fake)
    import google.cloud

    monkeypatch.setattr(google.cloud, "storage", fake, raising=False)
    access = MediaAccess(buckets=("mine",))
    with fetched("gs://mine/folder/a%20b.mp4", access) as file:
        assert file.read_bytes() == BODY
    with pytest.raises(MediaGone, match="not in its bucket"), fetched("gs://mine/none", access):
        pytest.fail("it was fetched")
    small = MediaAccess(buckets=("mine",), max_bytes=10)
    with (
        pytest.raises(MediaRefused, match="the limit is 10"),
        fetched("gs://mine/folder/a%20b.mp4", small),
    ):
        pytest.fail("it was fetched")
