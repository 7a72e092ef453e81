from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorum.core.errors import ConfigurationError
from quorum.core.settings import MediaAccess, Settings, load_settings

PUBLIC = "+UZ6v8TFY+0KROwZg1SJSerQjc4LC9PxUa1Qfrm/iNc="
KEYS = f"keys: {{a: {{public: {PUBLIC}}}}}"
SPAM = "streams: [predictions], detectors: [spam]"
WHOLE = """
detectors:
  spam:
  violence:
    model: file:weights/violence
    timeout: 5
    max_batch: 8
    shadow: true
policy: strict
media:
  hosts: [media.example.org, "*.CDN.example.org"]
  buckets: [uploads]
  folders: [media]
  max_bytes: 1000
  max_seconds: 60.5
  max_pixels: 1000000
  timeout: 3
catalogue: works
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text: str | bytes):
        file = tmp_path / "settings.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return to_file


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch):
    monkeypatch.delenv("QUORUM_SETTINGS", raising=False)


def refused(file) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    told = str(caught.value)
    assert str(file) in told
    assert "\n" not in told
    assert caught.value.exit_code == 78
    return told


def test_no_file_is_needed():
    assert load_settings() == Settings()


def test_by_default_no_media_is_fetched():
    media = Settings().media
    assert (media.hosts, media.buckets, media.folders) == ((), (), ())


def test_all_settings_are_read(write):
    made = load_settings(write(WHOLE))
    assert made.detectors is not None
    assert list(made.detectors) == ["spam", "violence"]
    assert made.detectors["spam"].timeout == 30
    assert made.detectors["violence"].shadow
    assert made.detectors["violence"].max_batch == 8
    assert made.policy == "strict"
    assert made.media == MediaAccess(
        hosts=("media.example.org", "*.cdn.example.org"),
        buckets=("uploads",),
        folders=("media",),
        max_bytes=1000,
        max_seconds=60.5,
        max_pixels=1_000_000,
        timeout=3,
    )
    assert made.catalogue == "works"


def test_the_environment_names_the_file(write, monkeypatch):
    monkeypatch.setenv("QUORUM_SETTINGS", str(write("policy: cautious")))
    assert load_settings().policy == "cautious"


def test_an_argument_wins_over_the_environment(write, monkeypatch):
    monkeypatch.setenv("QUORUM_SETTINGS", "/nonexistent")
    assert load_settings(str(write("policy: cautious"))).policy == "cautious"


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "null", "{}", "media:"])
def test_an_empty_file_means_the_defaults(write, text):
    assert load_settings(write(text)) == Settings()


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Settings().policy = "strict"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("polcy: strict", "polcy"),
        ("media: {hots: [a.example.org]}", "media.hots"),
        ("detectors: {spam: {timeout: soon}}", "detectors.spam.timeout"),
        ("detectors: {spam: {timeout: 0}}", "detectors.spam.timeout"),
        ("detectors: {spam: {timeout: .inf}}", "detectors.spam.timeout"),
        ("detectors: {spam: {max_batch: 0}}", "detectors.spam.max_batch"),
        ("detectors: {spam: {max_batch: 1025}}", "detectors.spam.max_batch"),
        ("detectors: [spam]", "detectors"),
        ("media: {max_seconds: .inf}", "media.max_seconds"),
        ("media: {timeout: .nan}", "media.timeout"),
        ("media: {max_bytes: -1}", "media.max_bytes"),
        ("media: {hosts: media.example.org}", "media.hosts"),
        ("media: {hosts: ['https://media.example.org']}", "host's name alone"),
        ("media: {hosts: ['media.example.org:8443']}", "host's name alone"),
        ("media: {hosts: ['*']}", "host's name alone"),
        ("media: {hosts: ['a.*.example.org']}", "host's name alone"),
        ("media: {hosts: ['']}", "host's name alone"),
        ("media: {buckets: ['gs://uploads']}", "without gs://"),
        ("media: {buckets: ['']}", "bucket's name"),
        ("policy: 7", "policy"),
        ("policy: null", "policy"),
    ],
)
def test_a_wrong_setting_is_named(write, text, named):
    assert named in refused(write(text))


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "policy: strict\npolcy: strict\n",
            2,
            "polcy: unknown setting; there are detectors, policy",
        ),
        (
            "media:\n  hosts: []\n  hots: [a.example.org]\n",
            3,
            "media.hots: unknown setting; there are hosts, buckets",
        ),
        (
            "media:\n  hosts:\n    - a.example.org\n    - https://b\n",
            4,
            "media.hosts.1: must be a host's name alone",
        ),
        ("detectors:\n  spam:\n\n    timeout: 0\n", 4, "detectors.spam.timeout: Input should be"),
        (
            "catalogue:\n  folder: works\n  databse: ledger\n",
            3,
            "catalogue.CatalogueSettings.databse: unknown setting; there are folder, database",
        ),
        (
            "publishers:\n  lab:\n    keys: {a: {public: short}}\n    streams: [uploads]\n",
            3,
            "publishers.lab.keys.a.public: must be an Ed25519 public key",
        ),
        (
            f"publishers:\n  lab:\n    keys:\n      a: {{publik: {PUBLIC}}}\n    streams: []\n",
            4,
            "publishers.lab.keys.a.publik: unknown setting; there are public, until",
        ),
        (
            f"publishers:\n  lab:\n    {KEYS}\n    streams: [uplods]\n",
            4,
            "publishers.lab.streams.0: Input should be 'uploads', 'predictions'",
        ),
        (
            f"publishers:\n  lab:\n    {KEYS}\n    streams: [predictions]\n",
            2,
            "publishers.lab: streams must hold predictions if there are detectors",
        ),
        (
            "publishers:\n" + "".join(f"  {name}: {{{KEYS}, {SPAM}}}\n" for name in "ab"),
            1,
            "publishers: the detector spam belongs to both a and b",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_its_line_and_what_is_expected(write, text, line, problem):
    file = write(text)
    assert f"{file}:{line}: {problem}" in refused(file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policy: strict\nmedia: {", 2),
        ("policy: strict\npolicy: cautious\n", 2),
        ("a: *nowhere", 1),
        ("policy: !!python/object/apply:os.system [true]", 1),
        ("\tpolicy: strict", 1),
    ],
)
def test_broken_yaml_is_told_by_its_line(write, text, line):
    file = write(text)
    assert refused(file).startswith(f"{file}:{line}: not valid YAML: ")


@pytest.mark.parametrize("text", ["- policy", "strict", "7", "false", "0", "[]", "''"])
def test_only_a_mapping_is_settings(write, text):
    assert "mapping" in refused(write(text))


def test_bytes_that_are_no_text(write):
    assert "UTF-8" in refused(write(b"policy: \xff"))
    refused(write(b"policy: \x00"))


def test_a_file_that_is_not_there(tmp_path):
    assert "No such file" in refused(tmp_path / "absent.yaml")
    assert "directory" in refused(tmp_path)


def test_aliases_cannot_blow_up_memory(write):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    refused(write("\n".join(lines)))


def test_deep_nesting_is_refused(write):
    refused(write("a: " + "[" * 5000 + "]" * 5000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_settings_or_one_clear_line(write, data):
    file = write(data)
    try:
        assert isinstance(load_settings(file), Settings)
    except ConfigurationError as error:
        assert "\n" not in str(error)


def test_a_reference_needs_no_quotes_in_braces(tmp_path):
    """As all examples are written; the C parser that may be installed beside ours refuses it."""
    file = tmp_path / "settings.yaml"
    file.write_text("detectors:\n  spam: {model: file:mine}\n")
    detectors = load_settings(file).detectors
    assert detectors is not None
    assert detectors["spam"].model == "file:mine"


def test_publishers_have_keys_that_may_end(write):
    text = f"""
publishers:
  quorum:
    keys:
      k1: {{public: {PUBLIC}, until: 2027-01-01T00:00:00Z}}
      k2: {{public: {PUBLIC}, until: "2027-01-01T02:00:00+02:00"}}
      k3: {{public: {PUBLIC}}}
    streams: [predictions, verdicts]
    detectors: [spam]
"""
    publisher = load_settings(write(text)).publishers["quorum"]
    ends = datetime(2027, 1, 1, tzinfo=UTC)
    assert [key.until for key in publisher.keys.values()] == [ends, ends, None]
    assert publisher.detectors == ("spam",)


SSO = "sso:\n  issuer: {issuer}\n  client_id: quorum\n  roles: {roles}\n"


@pytest.mark.parametrize(
    ("issuer", "roles", "problem"),
    [
        ("http://id.example.org", "{a: lead}", ":2: sso.issuer: must be the provider's issuer"),
        ("https://id.example.org/?a", "{a: lead}", ":2: sso.issuer: must be the provider's issuer"),
        ("https://id.example.org", "{a: king}", ":4: sso.roles.a: Input should be 'reviewer'"),
        ("https://id.example.org", "{}", ":4: sso.roles: Dictionary should have at least 1 item"),
        ("https://id.example.org", "{a: lead}\n  secret: x", ":5: sso.secret: unknown setting"),
    ],
)
def test_single_sign_on_that_cannot_be_is_refused(tmp_path: Path, issuer, roles, problem):
    path = tmp_path / "s.yaml"
    path.write_text(SSO.format(issuer=issuer, roles=roles))
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        load_settings(path)


def test_single_sign_on_is_read(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text(
        SSO.format(issuer="https://id.example.org/realms/a", roles="{b: lead, a: admin}")
    )
    sso = load_settings(path).sso
    assert list(sso.roles.items()) == [("b", "lead"), ("a", "admin")]
    assert sso.passwords
