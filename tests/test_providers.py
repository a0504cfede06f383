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
from aggregator.errors import ConfigError

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
