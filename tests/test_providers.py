"""Where adapters come from: a file of ours, or an entry point of another package."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from aggregator import adapter, providers
from aggregator.core.account import Adapter, FeedKind
from aggregator.errors import BrokenAdapter, ConfigError

ELSEWHERE = """
from aggregator.adapter import Adapter, Auth, Meaning, Reading, Request, State, Vocabulary

def plan(ask, options):
    return (Request("/ports"),)

def read(page, options):
    return Reading(done=True)

ADAPTER = Adapter(
    label="Example", base_url="https://api.example.com", auth=Auth.HEADER, region="US", time_zone="UTC", feeds={},
    words={Vocabulary.PORT_IN: {"new": Meaning(State.WITH_PROVIDER)}}, reasons={}, keep={}, plan=plan, read=read,
)
OTHER = "no adapter"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a package with these entry points on the path, as an installer would."""

    def forget() -> None:
        for known in (providers.load, providers._ours, providers._others):
            known.cache_clear()

    def installed(**points: str) -> None:
        info = tmp_path / "example_porting-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-porting\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {point}" for name, point in points.items())
        (info / "entry_points.txt").write_text(f"[{providers.GROUP}]\n{lines}\n")
        (tmp_path / "example_porting.py").write_text(ELSEWHERE)
        monkeypatch.syspath_prepend(tmp_path)
        forget()

    yield installed
    sys.modules.pop("example_porting", None)
    forget()


def test_both_providers_are_found_by_their_files() -> None:
    assert {"fonedynamics", "telnyx"} <= set(providers.names())
    for name in providers.names():
        assert isinstance(providers.load(name), Adapter)


def test_an_entry_point_of_another_package_is_a_provider(install: Callable[..., None]) -> None:
    install(example="example_porting:ADAPTER")
    assert "example" in providers.names()
    assert providers.load("example").label == "Example"


def test_our_own_file_comes_before_an_entry_point_of_the_same_name(install: Callable[..., None]) -> None:
    install(telnyx="example_porting:ADAPTER")
    assert providers.load("telnyx").label == "Telnyx"
    assert providers.names().count("telnyx") == 1


def test_a_name_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"no such provider: nobody \(there is .*telnyx"):
        providers.load("nobody")


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("example_porting:OTHER", "provider example: its entry point is not an Adapter"),
        ("example_porting:MISSING", "provider example: cannot be loaded"),
        ("no_such_module_anywhere:ADAPTER", "provider example: cannot be loaded"),
    ],
)
def test_an_entry_point_that_is_no_adapter_is_a_mistake_of_the_configuration(
    install: Callable[..., None], point: str, message: str
) -> None:
    install(example=point)
    with pytest.raises(ConfigError, match=re.escape(message)):
        providers.load("example")


WRONG = {
    "Meaning(State.WITH_PROVIDER)}": (
        ('"with_provider"}', "words[Vocabulary.PORT_IN]['new']: not a Meaning but str"),
        ('Meaning("with_provder")}', "no such state: 'with_provder' (did you mean 'with_provider'?)"),
        ("Meaning(State.UNKNOWN)}", "says 'unknown'"),
        ('Meaning(State.PORTED, "guess")}', "basis: not a Basis but str: 'guess' (write Basis.GUESS)"),
        ('Meaning(State.PORTED, waiting_on="us")}', "waiting_on: not a WaitingOn but str"),
        ('Meaning(State.PORTED), "N-E W": Meaning(State.PORTED)}', "['N-E W']: the same word as 'new'"),
        ("Meaning(None)}", "its meaning is a text, not None"),
    ),
    "words={Vocabulary.PORT_IN:": (
        ('words={"statuses":', "words: not a Vocabulary but str: 'statuses' (write Vocabulary.PORT_IN)"),
    ),
    "feeds={}": (
        (
            'feeds={"ports": FeedDefaults(FeedKind.LISTING, Direction.PORT_IN, every=60)}',
            "feeds['ports'].every: not a timedelta but int: 60",
        ),
        (
            'feeds={"ports": FeedDefaults("list", Direction.PORT_IN, MINUTE)}',
            "feeds['ports'].kind: not a FeedKind but str: 'list' (write FeedKind.LISTING)",
        ),
        (
            'feeds={"ports": FeedDefaults(FeedKind.EVENTS, Direction.PORT_IN, MINUTE)}',
            "feeds['ports'].lookback: missing",
        ),
        ('feeds={"ports": FeedDefaults(FeedKind.LISTING, Direction.PORT_IN, -MINUTE)}', "not a time to wait"),
        ('feeds={"a": LIST, "b": LIST}', "feeds['b']: a second list for port_in, beside 'a'"),
        ("feeds=[LIST]", "feeds: not a table but list"),
    ),
    "reasons={}": (
        (
            'reasons={"X1": Reason("pin_invald")}',
            "reasons['X1']: no such reason: 'pin_invald' (did you mean 'pin_invalid'?)",
        ),
        ('reasons={"X1": "pin_invalid"}', "reasons['X1']: not a Reason but str"),
    ),
    "keep={}": (
        ('keep={"order": "id"}', "keep['order']: not a tree of fields"),
        ('keep={"order": {"id": ["x"]}}', "keep['order']['id']: not a tree of fields"),
        (
            'keep={}, clocks=(Clock("x", Direction.PORT_IN, frozenset({"draft"}), CountedFrom.STATE, MINUTE),)',
            "clocks[0].states: holds str 'draft' (write State.DRAFT)",
        ),
        (
            'keep={}, clocks=(Clock("x", Direction.PORT_IN, frozenset(), CountedFrom.STATE, 60),)',
            "clocks[0].after: not a timedelta but int",
        ),
        ("keep={}, clocks=[]", "clocks: not a tuple but list"),
        ("keep={}, usual={State.DRAFT: MINUTE}", "usual: a key is (Direction, State), not State"),
        ("keep={}, options=dict", "options: not a class that inherits from Options"),
        ('keep={}, check=Listing("ports"), milder=5', "milder: not a function but int"),
        ("keep={}, pacing=Pacing('1s')", "pacing.min_interval_s: not a number of seconds: '1s'"),
        ("keep={}, pacing=Pacing(-1)", "pacing.min_interval_s: not a number of seconds: '-1'"),
        ("keep={}, pacing=Pacing(0, 0)", "pacing.in_flight: not a number from 1: '0'"),
        ("keep={}, paging='page'", "paging: not a Paging but str"),
        ("keep={}, paging=Paging(None)", "paging.size: not the name of a parameter but None"),
        ("keep={}, auth_header='X\\r\\nY'", "auth_header: not the name of a header"),
    ),
    "auth=Auth.HEADER": (
        ("auth=Auth.BASIC", "auth: BASIC without `auth_user`"),
        ('auth="bearer"', "auth: not a Auth but str"),
    ),
    'region="US"': (('region="ZZ"', "region: no such country: 'ZZ'"),),
    'time_zone="UTC"': (('time_zone="Sydney"', "time_zone: no such time zone: 'Sydney'"),),
    "feeds={},": (),
    "plan=plan": (("plan=None", "plan: not a function but None"),),
}
MORE = """
from datetime import timedelta
from aggregator.adapter import Clock, CountedFrom, Direction, FeedDefaults, FeedKind, Listing, Pacing, Paging, Reason
MINUTE = timedelta(minutes=1)
LIST = FeedDefaults(FeedKind.LISTING, Direction.PORT_IN, MINUTE)
"""
CASES = [(old, new, said) for old, cases in WRONG.items() for new, said in cases]


@pytest.mark.parametrize(("old", "new", "said"), CASES, ids=[new[:40] for _, new, _ in CASES])
def test_an_adapters_data_is_judged_when_it_is_loaded(
    install: Callable[..., None], tmp_path: Path, old: str, new: str, said: str
) -> None:
    install(example="example_porting:ADAPTER")
    source = MORE + ELSEWHERE
    assert old in source
    (tmp_path / "example_porting.py").write_text(source.replace(old, new))
    with pytest.raises(BrokenAdapter) as broken:
        providers.load("example")
    (line, *_) = [line for line in broken.value.mistakes if said in line] or [str(broken.value)]
    assert said in line and line.startswith("provider example: ")
    assert line.endswith("(package example-porting 1.0)")
    (at,) = re.findall(r"example_porting\.py:(\d+)\)", line)
    assert new.partition("\n")[0][-25:] in source.replace(old, new).splitlines()[int(at) - 1]


PLANS = {
    "return Request('/ports')": "plan: for Listing of 'ports': not a tuple of requests but Request",
    "return ('/ports',)": "not a Request but str",
    "return (Request('ports'),)": "not a path below the base URL: 'ports'",
    "return (Request('https://example.com/ports'),)": "not a path below the base URL",
    "return (Request('//example.com'),)": "not a path below the base URL",
    "return (Request('/ports', {'a': '1'}),)": "parameters are pairs of texts",
    "return (Request('/ports', (('a', 1),)),)": "parameters are pairs of texts",
    "return ()": "no request",
    "raise RuntimeError": "plan: fails for Listing of 'ports': RuntimeError",
    "return None": "not a tuple of requests but None",
    "return (Request('/ports', method='DELETE'),)": "a poll asks with GET, which changes nothing, not with DELETE",
    "raise SystemExit": "plan: fails for Listing of 'ports': SystemExit",
}


@pytest.mark.parametrize("body", PLANS)
def test_what_it_asks_for_is_judged_too(install: Callable[..., None], tmp_path: Path, body: str) -> None:
    install(example="example_porting:ADAPTER")
    source = MORE + ELSEWHERE.replace("feeds={}", 'feeds={"ports": LIST}')
    (tmp_path / "example_porting.py").write_text(source.replace('return (Request("/ports"),)', body))
    with pytest.raises(BrokenAdapter, match=re.escape(PLANS[body])):
        providers.load("example")


@pytest.mark.parametrize(
    "body", ["raise SystemExit(3)", "raise KeyError('x')", "import no_such_thing", "def"]
)
def test_a_package_that_ends_or_breaks_when_imported_is_named_with_its_line(
    install: Callable[..., None], tmp_path: Path, body: str
) -> None:
    install(example="example_porting:ADAPTER")
    (tmp_path / "example_porting.py").write_text(f"\n{body}\n")
    with pytest.raises(
        BrokenAdapter, match=r"cannot be loaded: .*example_porting\.py:2\) \(package"
    ) as broken:
        providers.load("example")
    assert providers.names() and "example-porting 1.0" in str(broken.value)


@pytest.mark.parametrize("name", providers.names())
def test_a_provider_has_defaults_that_can_be_polled_with(name: str) -> None:
    ours = providers.load(name)
    assert ours.base_url.startswith("https://") and not ours.base_url.endswith("/")
    assert ours.feeds
    for feed in ours.feeds.values():
        assert feed.every.total_seconds() > 0
        assert (feed.kind is FeedKind.EVENTS) is bool(feed.lookback)
        assert feed.deep is None or feed.deep > feed.lookback
    assert {column.name for column in fields(ours.options)} >= {"region", "time_zone", "keep_comments"}


def test_the_stable_face_names_everything_it_offers() -> None:
    offered = {name for name in vars(adapter) if name.isidentifier() and not name.startswith("_")}
    assert sorted(adapter.__all__) == sorted(offered)
    assert len(set(adapter.__all__)) == len(adapter.__all__)
    assert adapter.API == 1


@pytest.mark.parametrize("name", providers.names())
def test_an_adapter_is_loaded_without_network_database_or_other_adapters(name: str) -> None:
    heavy = ("httpx", "sqlalchemy", "sqlmodel", "apscheduler", "structlog", "pydantic")
    others = tuple(f"aggregator.providers.{other}" for other in providers.names() if other != name)
    code = (
        f"import sys; from aggregator import providers; providers.load({name!r});"
        f"print([module for module in {(*heavy, *others)!r} if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
