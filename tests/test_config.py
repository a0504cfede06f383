"""The configuration: what is read, what is refused and how it is said."""

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator import providers
from aggregator.config import Config, database_url, duration, example, find, load, shown
from aggregator.config.values import written
from aggregator.core.model import Meaning, Reason, State, Vocabulary, WaitingOn
from aggregator.core.stuck import USUAL
from aggregator.errors import ConfigError

TELNYX = """
[accounts.telnyx-main]
provider = "telnyx"
secret = "env:TELNYX"
"""
FONE = """
[accounts.fone-au]
provider = "fonedynamics"
secret = "env:FONE"
account_sid = "A1"
"""

EVERY_KEY = r"^# (?=(\w+|\"[^\"]+\") = )"

Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Loads a text as the configuration, with these variables set."""

    def reading(text: str, **environ: str) -> Config:
        path = tmp_path / "aggregator.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, providers.load, environ)

    return reading


def mistakes(read: Read, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    return caught.value.mistakes


# --- what is read ---------------------------------------------------------------------------------------


def test_an_empty_file_is_a_configuration(read: Read, tmp_path: Path) -> None:
    config = read("")
    assert config.accounts == {}
    assert config.waiting.keep_ended == timedelta(days=14)
    assert config.database.schema == "porting"
    assert database_url(config, {}) == f"sqlite:///{tmp_path}/aggregator.db"


def test_an_account_has_its_providers_defaults(read: Read) -> None:
    account = read(FONE).accounts["fone-au"]
    assert (account.options.time_zone, account.options.region) == ("Australia/Sydney", "AU")
    assert (account.base_url, account.min_interval_s) == ("https://api.fonedynamics.com/v2", 1.0)
    assert (account.label, account.enabled, account.allow_actions) == ("fone-au", True, False)
    feed = account.feeds["porting_status"]
    assert (feed.every, feed.lookback, feed.start) == (
        timedelta(minutes=2),
        timedelta(minutes=15),
        timedelta(days=30),
    )
    assert feed.stale_after == timedelta(minutes=6)
    assert read(TELNYX).accounts["telnyx-main"].feeds["porting_events"].stale_after == timedelta(minutes=5)
    assert read(TELNYX).accounts["telnyx-main"].feeds["porting_orders"].start is None


def test_an_account_may_say_otherwise(read: Read) -> None:
    text = (
        FONE
        + """
label = "Sydney"
enabled = false
allow_actions = true
keep_comments = false
base_url = "http://127.0.0.1:8080/v2/"
region = "NZ"
time_zone = "Pacific/Auckland"
min_interval = "3s"
paging = "token"
feeds.porting_status = { enabled = false, every = "5m", lookback = "1h", start = 2026-01-31T10:00:00+10:00 }
"""
    )
    account = read(text).accounts["fone-au"]
    assert (account.label, account.enabled, account.allow_actions) == ("Sydney", False, True)
    assert (account.base_url, account.min_interval_s) == ("http://127.0.0.1:8080/v2", 3.0)
    assert dataclasses.asdict(account.options) == {
        "time_zone": "Pacific/Auckland",
        "region": "NZ",
        "keep_comments": False,
        "account_sid": "A1",
        "property_sid": None,
        "paging": "token",
        "page_token_param": "NextPageToken",
        "guess_statuses": True,
    }
    feed = account.feeds["porting_status"]
    assert (feed.enabled, feed.stale_after) == (False, timedelta(minutes=15))
    assert feed.start == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("0s", 0)]
)
def test_durations(text: str, value: int) -> None:
    assert duration(text) == timedelta(seconds=value)
    assert duration(written(timedelta(seconds=value))) == timedelta(seconds=value)


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1.5h", "1h30m", "٣s", "2w", 5, True, "99999999d"])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration|longer than"):
        duration(text)


def test_words(read: Read) -> None:
    text = (
        FONE
        + """
[accounts.fone-au.statuses]
"Awaiting Telstra" = "with_carrier"
"Held" = { state = "exception", waiting_on = "provider" }
[accounts.fone-au.statuses.port_out]
"Gone" = "ported"
[accounts.fone-au.statuses.reason]
"R1" = "pin_wrong"
"R2" = { reason = "pin_wrong", waiting_on = "losing_carrier" }
[accounts.fone-au.statuses.messaging]
"ok" = "active"
[providers.fonedynamics.statuses]
"awaiting-telstra" = "draft"
"Shared" = "scheduled"
"""
    )
    assert read(text).accounts["fone-au"].statuses == {
        Vocabulary.PORT_IN: {
            "Awaiting Telstra": Meaning(State.WITH_CARRIER),
            "Held": Meaning(State.EXCEPTION, waiting_on=WaitingOn.PROVIDER),
            "Shared": Meaning(State.SCHEDULED),
        },
        Vocabulary.PORT_OUT: {"Gone": Meaning(State.PORTED)},
        Vocabulary.REASON: {
            "R1": Reason("pin_wrong"),
            "R2": Reason("pin_wrong", WaitingOn.LOSING_CARRIER),
        },
        Vocabulary.MESSAGING: {"ok": Meaning("active")},
    }


def test_a_status_may_be_called_like_a_word_list(read: Read) -> None:
    config = read(f'{FONE}statuses.reason = {{ state = "draft", waiting_on = "us" }}')
    assert config.accounts["fone-au"].statuses[Vocabulary.PORT_IN]["reason"].waiting_on is WaitingOn.US


def test_the_environment_wins(read: Read) -> None:
    config = read(
        '[log]\nlevel = "info"\n',
        PORTING_AGGREGATOR__LOG__LEVEL="debug",
        PORTING_AGGREGATOR__STUCK__DRAFT="9d",
        PORTING_AGGREGATOR__HTTP__LISTEN="[::1]:80",
        PORTING_AGGREGATOR__HTTP__PAGE="true",
        PORTING_AGGREGATOR_CONFIG="elsewhere",
        PORTING_AGGREGATOR_TEST_POSTGRES="postgresql://",
        PORTING_AGGREGATOR_SERVICE_HOST="10.0.0.1",
    )
    assert (config.log.level, config.stuck["draft"], config.http.page) == ("debug", timedelta(days=9), True)


def test_relative_paths_are_relative_to_the_file(read: Read, tmp_path: Path) -> None:
    config = read('[network]\nca_file = "ca.pem"\n[database]\nurl = "sqlite:///data/a.db"')
    assert config.network.ca_file == str(tmp_path / "ca.pem")
    assert database_url(config, {}) == f"sqlite:///{tmp_path}/data/a.db"
    assert database_url(read('[database]\nurl = "sqlite:////var/a.db"'), {}) == "sqlite:////var/a.db"


# --- what is refused ------------------------------------------------------------------------------------


def test_every_mistake_is_named_at_once(read: Read) -> None:
    text = """
surprise = 1
[databse]
[log]
level = "inof"
[accounts.Bad]
provider = "telnyx"
secret = "KEY0123"
[accounts.none]
[accounts.other]
provider = "telnix"
secret = "env:A"
time_zone = "Australia/Sidney"
[accounts.fone-au]
provider = "fonedynamics"
secret = "env:A"
acount_sid = "A1"
paging = "both"
guess_statuses = "yes"
region = "au"
base_url = "http://example.com"
feeds.porting_status.every = "2 parsecs"
feeds.porting_status.evry = "2m"
feeds.porting_statuses = {}
statuses = { A = "shceduled", B = { state = "draft", waiting_on = "them" }, C = 5, mesaging = { x = "y" } }
[stuck]
drafted = "1d"
draft = "0s"
"""
    said = mistakes(
        read, text, PORTING_AGGREGATOR__LOG__LEVLE="debug", PORTING_AGGREGATOR__WAITING__KEEP_ENDED="x"
    )
    no_zone = "no such time zone"
    states, every = ", ".join(State), "accounts.fone-au.feeds.porting_status.every"
    assert sorted(said) == sorted(
        (
            "PORTING_AGGREGATOR__LOG__LEVLE: no such setting (did you mean PORTING_AGGREGATOR__LOG__LEVEL?)",
            'PORTING_AGGREGATOR__WAITING__KEEP_ENDED: not a duration: "x" (write 30s, 15m, 1h or 7d)',
            "surprise: no such section",
            "databse: no such section (did you mean database?)",
            'log.level: not one of debug, info, warning, error: "inof" (did you mean info?)',
            'accounts.Bad: not a name for an account: "Bad" (write a-z, digits, _ and -)',
            "accounts.Bad.secret: write credential:NAME, file:/path or env:NAME, never the secret itself",
            "accounts.none.provider: missing",
            "accounts.none.secret: missing",
            "accounts.other.provider: no such provider: telnix (there is fonedynamics, telnyx)",
            f'accounts.other.time_zone: {no_zone}: "Australia/Sidney" (did you mean Australia/Sydney?)',
            "accounts.fone-au.account_sid: missing",
            "accounts.fone-au.acount_sid: no such key (did you mean account_sid?)",
            'accounts.fone-au.paging: not one of auto, token, offset: "both"',
            'accounts.fone-au.guess_statuses: not true or false (without quotes): "yes"',
            'accounts.fone-au.region: not a region: "au" (write two capital letters, as in US)',
            "accounts.fone-au.base_url: http to loopback only; write https://",
            f'{every}: not a duration: "2 parsecs" (write 30s, 15m, 1h or 7d)',
            "accounts.fone-au.feeds.porting_status.evry: no such key (did you mean every?)",
            "accounts.fone-au.feeds.porting_statuses: no such feed (did you mean porting_status?)",
            f'accounts.fone-au.statuses."A": not one of {states}: "shceduled" (did you mean scheduled?)',
            f'accounts.fone-au.statuses."B".waiting_on: not one of {", ".join(WaitingOn)}: "them"',
            f'accounts.fone-au.statuses."C": not one of {states}: 5',
            "accounts.fone-au.statuses.mesaging: no such word list (did you mean messaging?)",
            "stuck.drafted: no such state (did you mean draft?)",
            "stuck.draft: must be more than 0s",
        )
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.com/",
        "https://example.com/?token=hunter2",
        "https://example.com/#hunter2",
        "ftp://example.com/hunter2",
        "http://127.0.0.1.hunter2.example.com/",
        "https://:hunter2@[/",
        "https://example.com:hunter2/",
        "https://exa mple.com/hunter2",
        "hunter2",
    ],
)
def test_refused_base_urls_are_not_repeated(read: Read, url: str) -> None:
    (said,) = mistakes(read, f"{TELNYX}base_url = '{url}'")
    assert said.startswith("accounts.telnyx-main.base_url: ")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h/d", "hunter2", "sqlite:///", "sqlite:///:memory:", "sqlite://a", "env:X", "file:"],
)
def test_refused_database_urls_are_not_repeated(read: Read, url: str) -> None:
    (said,) = mistakes(read, f'[database]\nurl = "{url}"')
    assert said.startswith("database.url: not a database URL (write sqlite:///file.db")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("2026-01-31T10:00:00", "needs its zone"),
        ('"2026-01-31T10:00:00"', "needs its zone"),
        ("2026-01-31", "not a duration or an instant"),
        ('"2026-01-31"', "needs its zone"),
        ('"soon"', "not a duration or an instant"),
        ("0001-01-01T00:00:00+10:00", "outside the calendar"),
    ],
)
def test_refused_starts(read: Read, start: str, said: str) -> None:
    (found,) = mistakes(read, f"{TELNYX}feeds.porting_events.start = {start}")
    assert found.startswith("accounts.telnyx-main.feeds.porting_events.start: ") and said in found


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("log = 5", "log: not a table"),
        ("accounts = 5", "accounts: not a table"),
        ("accounts.x = 5", "accounts.x: not a table"),
        (f"{TELNYX}feeds = 5", "accounts.telnyx-main.feeds: not a table"),
        (f"{TELNYX}statuses = 5", "accounts.telnyx-main.statuses: not a table"),
        (f'{TELNYX}statuses.A = {{ state = "draft", who = "us" }}', 'statuses."A".who: no such key'),
        (f'{TELNYX}statuses.A = {{ waiting_on = "us" }}', 'statuses."A".state: missing'),
        (f"{TELNYX}statuses.'- _' = 'draft'", "an empty word"),
        (f"{TELNYX}statuses = {{ 'In-Port' = 'draft', inport = 'draft' }}", "are one word of status"),
        (f"{TELNYX}statuses.reason.A = 'Wrong PIN'", "not a plain word"),
        (f"{TELNYX}statuses.requirement.A = 'uss'", 'nobody: "uss" (did you mean us?)'),
        (f"{TELNYX}statuses.requirement.A = 'unknown'", "not one of us, provider,"),
        (f"{TELNYX}statuses.action_requirement.A = 5", "not one of us, provider,"),
        (f"{TELNYX}statuses.portability.A = 'perhaps'", "not one of pending, confirmed, provisional"),
        (f"{TELNYX}statuses.activation_job.A = 'done'", "not one of created, in_process, completed, failed"),
        (f"{TELNYX}time_zone = '../etc'", "no such time zone"),
        (f"{TELNYX}label = 5", "label: not a text in quotes"),
        (f"{FONE.replace('A1', '')}", "accounts.fone-au.account_sid: empty"),
        ("[providers.telnix.statuses]", "providers.telnix: no such provider"),
        ("[providers.telnyx.status]", "providers.telnyx.status: no such key (did you mean statuses?)"),
        ("[http]\npage = true", "http.page: needs http.listen"),
        ("[http]\nlisten = '9464'", "http.listen: not an address"),
        ("[network]\nproxy = 'socks5://h:1'", "network.proxy: not a proxy"),
        ("[retention]\nruns = '0s'", "retention.runs: must be more than 0s"),
        ("[database]\nschema = 'pg_x; drop'", "database.schema: not a schema"),
    ],
)
def test_single_mistakes(read: Read, section: str, said: str) -> None:
    (found,) = mistakes(read, section)
    assert said in found


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("PORTING_AGGREGATOR__ACCOUNTS__X__SECRET", "in the file only"),
        ("PORTING_AGGREGATOR__DATABSE__URL", "did you mean PORTING_AGGREGATOR__DATABASE__URL?"),
        ("PORTING_AGGREGATOR_DATABASE_URL", "did you mean PORTING_AGGREGATOR__DATABASE__URL?"),
    ],
)
def test_misspelt_variables(read: Read, variable: str, said: str) -> None:
    (found,) = mistakes(read, "", **{variable: "hunter2"})
    assert found.startswith(f"{variable}: ") and said in found and "hunter2" not in found


@pytest.mark.parametrize("content", [b"a = ", b"\xff", b"[a]\n[a]"])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load(path, providers.load, {})
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "b.toml", providers.load, {})


ODD_VALUES = [
    *(
        "5",
        "-1",
        "0",
        "true",
        "1.5",
        "nan",
        "2026-01-31",
        "2026-01-31T00:00:00",
        "10:00:00",
        "[]",
        "[{}]",
        "{}",
    ),
    *('""', '" "', '"é\\u202e"', "{ a = 1 }", str(2**70), f'"{"x" * 500}"'),
]


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_whatever_stands_at_a_key_is_read_or_named(read: Read, odd: str) -> None:
    whole = tomllib.loads(re.sub(EVERY_KEY, "", example(), flags=re.MULTILINE))
    for place in places(whole):
        text = "".join(
            f"{json.dumps(key)} = {with_odd(value, odd, place, key)}\n" for key, value in whole.items()
        )
        try:
            config = read(text)
        except ConfigError as error:
            assert_named(place, error)
        else:
            assert read(shown(config)) == config


def assert_named(place: tuple[str, ...], error: ConfigError) -> None:
    """Each mistake begins with the key that is wrong, or one below it."""
    for mistake in error.mistakes:
        assert mistake.replace('"', "").startswith(".".join(place)), mistake


def places(table: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """The path of every key and table."""
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, *above, key)


def with_odd(value: Any, odd: str, place: tuple[str, ...], *above: str) -> str:
    """A value as inline TOML, with something odd at one place."""
    if above == place:
        return odd
    if isinstance(value, dict):
        inner = (
            f"{json.dumps(key)} = {with_odd(one, odd, place, *above, key)}" for key, one in value.items()
        )
        return f"{{ {', '.join(inner)} }}"
    return json.dumps(value)


# --- finding, database, showing -------------------------------------------------------------------------


def test_find_takes_the_first_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for name in ("named.toml", "variable.toml", "config/aggregator.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    environ = {"PORTING_AGGREGATOR_CONFIG": "variable.toml"}
    assert find(Path("named.toml"), environ, tmp_path) == tmp_path / "named.toml"
    assert find(None, environ, tmp_path) == tmp_path / "variable.toml"
    assert find(None, {}, tmp_path) == tmp_path / "config/aggregator.toml"


def test_find_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="named.toml"):
        find(Path("named.toml"), {}, tmp_path)
    with pytest.raises(ConfigError, match="variable.toml"):
        find(None, {"PORTING_AGGREGATOR_CONFIG": "variable.toml"}, tmp_path)
    monkeypatch.setattr("aggregator.config.PLACES", (Path("config/aggregator.toml"), Path("other.toml")))
    with pytest.raises(ConfigError) as caught:
        find(None, {}, tmp_path)
    assert f"{tmp_path}/config/aggregator.toml, {tmp_path}/other.toml" in str(caught.value)
    assert "mkdir -p config && porting-aggregator config example > config/aggregator.toml" in str(
        caught.value
    )


def test_the_database_url_may_lie_elsewhere(read: Read, tmp_path: Path) -> None:
    held = tmp_path / "url"
    held.write_text("postgresql://me:hunter2@host/db\n", encoding="utf-8")
    held.chmod(0o640)
    config = read('[database]\nurl = "file:url"\nowner_url = "credential:owner"')
    assert database_url(config, {}) == "postgresql://me:hunter2@host/db"
    with pytest.raises(ConfigError, match=r"^database\.owner_url: credential:owner: not there"):
        database_url(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, owner=True)
    held.write_text("hunter2", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        database_url(config, {})
    assert str(caught.value) == "database.url: file:url: does not hold a database URL"


def test_without_an_owner_the_owner_is_the_user(read: Read) -> None:
    config = read('[database]\nurl = "postgresql://host/db"')
    assert database_url(config, {}, owner=True) == "postgresql://host/db"


def test_what_is_shown_has_no_password(read: Read) -> None:
    config = read(
        """
[database]
url = "postgresql://me:hunter2@host/db"
owner_url = "postgresql://host/db?user=me&password=hunter2&x=1"
[network]
proxy = "http://me:hun@ter2@proxy:1"
"""
        + TELNYX
    )
    text = shown(config)
    assert "hunter2" not in text and "ter2" not in text
    assert 'url = "postgresql://me:***@host/db"' in text
    assert "password=***&x=1" in text
    assert 'secret = "env:TELNYX"' in text


def test_what_is_shown_loads_as_the_same(read: Read) -> None:
    every_key = re.sub(EVERY_KEY, "", example(), flags=re.MULTILINE)
    odd_words = """
[accounts.telnyx-main.feeds.portout_events]
start = 2026-01-31T10:00:00+10:00
[accounts.telnyx-main.statuses]
'é "quoted" \\' = 'draft'
"""
    config = read(every_key + odd_words)
    assert read(shown(config)) == config


# --- the example ----------------------------------------------------------------------------------------


def test_the_example_loads_as_it_is(read: Read) -> None:
    config = read(example())
    assert list(config.accounts) == ["telnyx-main", "fone-au"]


def test_the_example_loads_with_every_key(read: Read) -> None:
    text = re.sub(EVERY_KEY, "", example(), flags=re.MULTILINE)
    assert not re.search(r"^# \S+ = ", text, flags=re.MULTILINE)
    config = read(text)
    assert config.accounts["fone-au"].statuses.keys() == set(Vocabulary)


def test_the_example_shows_the_defaults(read: Read) -> None:
    """Keys with a default, un-commented, change nothing. What is not set by default is named here."""
    no_default = "owner_url|label|property_sid|proxy|ca_file|documents|events|runs|changes|listen|page_listen"
    no_default += '|time_zone = "Europe/Zurich"'  # of [display]; an account's has one
    no_default += "".join(f"|{state}" for state in USUAL)  # an account goes by its provider's first
    pattern = rf"^# (?!{no_default})(?=\w+ = )"
    plain, spelt = read(example()), read(re.sub(pattern, "", example(), flags=re.MULTILINE))
    assert spelt == plain


def test_the_example_shows_the_usual_times_of_providers_that_publish_none(read: Read) -> None:
    spelt = read(re.sub(rf"^# (?=({'|'.join(USUAL)}) = )", "", example(), flags=re.MULTILINE))
    assert spelt.stuck == USUAL
    assert read(example()).stuck == {}
    assert {account.stuck == USUAL for account in spelt.accounts.values()} <= {True}


def test_the_example_names_every_key() -> None:
    text = re.sub(EVERY_KEY, "", example(), flags=re.MULTILINE)
    data = tomllib.loads(text)
    assert data.keys() == {
        *("database", "accounts", "providers", "log", "network"),
        *("retention", "waiting", "stuck", "http", "display"),
    }
    common = "provider secret label enabled allow_actions keep_comments base_url region time_zone feeds"
    assert data["accounts"]["telnyx-main"].keys() == {*common.split(), "min_interval"}
    feed = data["accounts"]["telnyx-main"]["feeds"]["porting_events"]
    assert feed.keys() == {"enabled", "every", "lookback", "stale_after", "start"}
    own = "account_sid property_sid paging page_token_param guess_statuses provider secret statuses"
    assert data["accounts"]["fone-au"].keys() == set(own.split())
    assert data["database"].keys() == {"url", "owner_url", "schema"}
    assert data["http"].keys() == {"listen", "page", "page_listen", "hosts"}
    assert data["retention"].keys() == {"documents", "events", "runs", "changes"}


def test_both_copies_of_the_example_are_the_same() -> None:
    copy = Path(__file__).parent.parent / "config" / "aggregator.example.toml"
    assert copy.read_text(encoding="utf-8") == example()


def test_a_country_that_no_number_belongs_to_is_refused(read: Read) -> None:
    (mistake,) = mistakes(read, TELNYX + 'region = "XX"\n')
    assert mistake.startswith('accounts.telnyx-main.region: not a region: "XX"')
