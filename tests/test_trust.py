"""Files that decide where secrets go: refused when somebody else may write them, and those with a password in them when
everybody may read them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator import accounts, providers, trust
from aggregator.config import AccountConfig, Config, database_url, find, load, proxy_url
from aggregator.credentials import secret
from aggregator.errors import ConfigError
from aggregator.store import open_store
from aggregator.store.engine import address_of

Run = Callable[..., tuple[int, str, str]]
SOMEBODY = 61_234
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
TOML = """[database]
url = "{url}"
[network]
{network}
[accounts.telnyx-main]
provider = "telnyx"
secret = "file:telnyx.key"
"""


def lay(path: Path, content: str = "KEY0123", mode: int = 0o600) -> Path:
    """A file with this content and these rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def configured(
    folder: Path, url: str = "sqlite:///aggregator.db", network: str = "", mode: int = 0o644
) -> Path:
    """A configuration with its key."""
    lay(folder / "telnyx.key")
    return lay(folder / "aggregator.toml", TOML.format(url=url, network=network), mode)


def loaded(path: Path) -> Config:
    """It as the program reads it."""
    return load(path, providers.load, {})


# --- who may write --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o444])
def test_what_root_or_the_caller_alone_may_write_is_trusted(tmp_path: Path, mode: int) -> None:
    """The group is the caller's own, or root's."""
    assert trust.others(lay(tmp_path / "file", mode=mode)) is None


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
@pytest.mark.parametrize(
    "verb", ["check", "poll", "waiting", "config show", "db upgrade", "db backup x", "replay"]
)
def test_a_configuration_that_others_may_write_is_refused_by_every_verb(
    run: Run, tmp_path: Path, verb: str, mode: int
) -> None:
    path = configured(tmp_path, mode=mode)
    code, out, err = run(f"--config={path}", *verb.split())
    assert (code, out) == (78, "")
    assert err == f"others may write {path}; type: chmod o-w '{path}'\n"


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_configuration_in_a_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = configured(tmp_path / "folder")
    path.parent.chmod(mode)
    with pytest.raises(ConfigError, match=f"others may write {path.parent}; type: chmod o-w"):
        loaded(path)
    path.parent.chmod(mode | 0o1000)  # sticky, as /tmp is
    loaded(path)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "aggregator.toml").symlink_to(path)
    loaded(tmp_path / "link" / "aggregator.toml")
    path.parent.chmod(mode)
    with pytest.raises(ConfigError, match=f"others may write {path.parent}"):
        loaded(tmp_path / "link" / "aggregator.toml")


@AS_ROOT
@pytest.mark.parametrize("what", ["aggregator.toml", "."])
def test_a_configuration_of_somebody_else_is_refused(run: Run, tmp_path: Path, what: str) -> None:
    path = configured(tmp_path / "theirs")
    os.chown(path.parent / what, SOMEBODY, -1)
    code, out, err = run(f"--config={path}", "poll")
    assert (code, out) == (78, "")
    assert f"belongs to {SOMEBODY}, who may change where secrets go" in err
    assert not (path.parent / "aggregator.db").exists()


@AS_ROOT
def test_a_group_that_others_are_in_may_not_write(tmp_path: Path) -> None:
    path = configured(tmp_path, mode=0o664)
    os.chown(path, -1, SOMEBODY)
    with pytest.raises(ConfigError, match=f"its group may write {path}; type: chmod g-w"):
        loaded(path)
    path.chmod(0o644)
    loaded(path)


@AS_ROOT
def test_a_key_or_a_database_url_of_somebody_else_is_refused(tmp_path: Path) -> None:
    for name, content in (("telnyx.key", "KEY0123"), ("url", "postgresql://me:pw@127.0.0.1/db")):
        path = lay(tmp_path / name, content)
        assert secret(f"file:{name}", tmp_path, {}).reveal() == content
        os.chown(path, SOMEBODY, -1)
        with pytest.raises(ConfigError, match=f"^file:{name}: {path} belongs to {SOMEBODY}"):
            secret(f"file:{name}", tmp_path, {})
    config = loaded(configured(tmp_path / "with", url=f"file:{tmp_path}/url"))
    with pytest.raises(ConfigError, match=r"^database\.url: .*belongs to"):
        database_url(config, {})


@AS_ROOT
def test_what_systemd_hands_over_is_systemds_own_business(tmp_path: Path) -> None:
    os.chown(lay(tmp_path / "main"), SOMEBODY, -1)
    assert secret("credential:main", tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).reveal() == "KEY0123"


@AS_ROOT
def test_a_key_whose_group_may_write_is_refused(tmp_path: Path) -> None:
    os.chown(lay(tmp_path / "key", mode=0o660), 0, SOMEBODY)
    with pytest.raises(ConfigError, match="its group may write"):
        secret("file:key", tmp_path, {})


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_list_of_certificates_that_others_may_write_is_refused(run: Run, tmp_path: Path, mode: int) -> None:
    lay(tmp_path / "ca.pem", mode=mode)
    path = configured(tmp_path, network='ca_file = "ca.pem"')
    for verb in (("poll",), ("check", "--online"), ("check",), ("backfill", "telnyx-main", "--since", "1d")):
        code, out, err = run(f"--config={path}", *verb)
        assert (code, verb) == (78, verb)
        assert "network.ca_file: others may write" in out + err


def test_the_units_and_the_installation_leave_nothing_that_is_refused() -> None:
    installed = (Path(__file__).parents[1] / "systemd" / "install.sh").read_text()
    assert 'install -d -m 0755 "$DESTDIR$ETC"' in installed
    assert (
        'install -m 0644 "$DESTDIR$SHARE/aggregator.example.toml" "$DESTDIR$ETC/aggregator.toml"' in installed
    )


def test_root_takes_no_configuration_from_where_it_happens_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = configured(tmp_path / "config")
    system = tmp_path / "etc" / "aggregator.toml"
    monkeypatch.setattr("aggregator.config.PLACES", (Path("config/aggregator.toml"), system))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(
        ConfigError, match="root takes none from the current directory.*--config config/aggregator"
    ):
        find(None, {}, tmp_path)
    assert find(Path("config/aggregator.toml"), {}, tmp_path) == here
    assert find(None, {"PORTING_AGGREGATOR_CONFIG": str(here)}, tmp_path) == here
    here.unlink()
    with pytest.raises(ConfigError, match=f"mkdir -p {system.parent} && .* > {system}"):
        find(None, {}, tmp_path)
    here.touch()
    configured(system.parent)
    assert find(None, {}, tmp_path) == system
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert find(None, {}, tmp_path) == here


# --- passwords in a configuration -----------------------------------------------------------------------

WITH = [
    "postgresql://me:opensesame@127.0.0.1:1/db",
    "postgresql://:opensesame@127.0.0.1:1/db",
    "postgresql://me:open@sesame@127.0.0.1:1/db",
    "postgresql://127.0.0.1:1/db?user=me&password=opensesame",
    "postgresql://me@127.0.0.1:1/db?sslpassword=opensesame",
]
WITHOUT = ["postgresql://me@127.0.0.1:1/db", "postgresql:///db?host=/run", "sqlite:///aggregator.db"]


@pytest.mark.parametrize("url", WITH)
@pytest.mark.parametrize("key", ["url", "owner_url"])
def test_a_password_in_a_configuration_that_others_can_read_is_refused(
    run: Run, tmp_path: Path, url: str, key: str
) -> None:
    both = f'{url}"\nowner_url = "{url}' if key == "owner_url" else url
    path = configured(tmp_path, url=both)
    for verb in ("check", "poll", "waiting", "db upgrade"):
        code, out, err = run(f"--config={path}", *verb.split())
        assert (code, verb) == (78, verb)
        assert "others can read" in out + err and "file:/path or credential:NAME" in out + err
        assert "opensesame" not in out + err
    path.chmod(0o640)
    code, out, err = run(f"--config={path}", "db", "check")
    assert code in (75, 78) and "others can read" not in out + err


@pytest.mark.parametrize("url", WITHOUT)
def test_an_address_without_a_password_may_be_read_by_everybody(tmp_path: Path, url: str) -> None:
    assert database_url(loaded(configured(tmp_path, url=url)), {})


def test_a_password_that_comes_from_the_environment_is_in_no_file(tmp_path: Path) -> None:
    environ = {
        "PORTING_AGGREGATOR__DATABASE__URL": WITH[0],
        "PORTING_AGGREGATOR__NETWORK__PROXY": "http://a:b@c:1",
    }
    config = load(configured(tmp_path), providers.load, environ)
    assert (database_url(config, environ), proxy_url(config, environ)) == (WITH[0], "http://a:b@c:1")


def test_a_proxy_may_lie_in_a_file_or_credential(tmp_path: Path) -> None:
    lay(tmp_path / "proxy", "http://me:opensesame@127.0.0.1:3128\n")
    config = loaded(configured(tmp_path, network='proxy = "file:proxy"'))
    assert proxy_url(config, {}) == "http://me:opensesame@127.0.0.1:3128"
    config = loaded(configured(tmp_path, network='proxy = "credential:proxy"'))
    assert (
        proxy_url(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "http://me:opensesame@127.0.0.1:3128"
    )
    fetch = accounts.fetcher(
        loaded(configured(tmp_path, network='proxy = "file:proxy"')), config_of(tmp_path)
    )
    fetch.close()


def config_of(folder: Path) -> AccountConfig:
    """The one account of a configuration."""
    return loaded(folder / "aggregator.toml").accounts["telnyx-main"]


@pytest.mark.parametrize("verb", ["check", "poll", "check --online"])
@pytest.mark.parametrize("content", ["opensesame", "socks5://me:opensesame@h:1", None])
def test_what_is_no_proxy_is_refused_and_not_repeated(
    run: Run, tmp_path: Path, verb: str, content: str | None
) -> None:
    if content is not None:
        lay(tmp_path / "proxy", content)
    path = configured(tmp_path, network='proxy = "file:proxy"')
    code, out, err = run(f"--config={path}", *verb.split())
    assert code == 78
    assert "network.proxy: file:proxy" in out + err
    assert "opensesame" not in out + err


@pytest.mark.parametrize("verb", ["check", "poll"])
def test_a_proxy_with_a_password_in_a_configuration_that_others_can_read_is_refused(
    run: Run, tmp_path: Path, verb: str
) -> None:
    path = configured(tmp_path, network='proxy = "http://me:opensesame@127.0.0.1:1"')
    code, out, err = run(f"--config={path}", verb)
    assert code == 78
    assert "network.proxy: it holds a password, and others can read" in out + err
    assert "opensesame" not in out + err
    path.chmod(0o600)
    assert proxy_url(loaded(path), {}) is not None


# --- where the file of the database is ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["what?", "a%41b", "50%", "a#b", "a b", "ü", "a%2Fb", "a;b&c=d"])
def test_the_database_lies_beside_its_configuration_whatever_the_folder_is_called(
    run: Run, tmp_path: Path, name: str
) -> None:
    path = configured(tmp_path / name / "inner")
    url = database_url(loaded(path), {})
    assert address_of(url).database == str(path.parent / "aggregator.db")
    open_store(url).close()
    assert run(f"--config={path}", "db", "check")[0] == 0
    assert run(f"--config={path}", "check")[0] == 0
    assert run(f"--config={path}", "waiting", "--json")[0] == 0
    assert run(f"--config={path}", "db", "backup", str(path.parent / "copy.db"))[0] == 0
    assert {one.name for one in path.parent.iterdir()} == {
        "aggregator.toml",
        "telnyx.key",
        "aggregator.db",
        "copy.db",
    }
    assert [one.name for one in tmp_path.iterdir()] == [name]
    path.write_text(TOML.format(url=f"sqlite:///{tmp_path}/elsewhere.db", network=""))
    assert address_of(database_url(loaded(path), {})).database == f"{tmp_path}/elsewhere.db"
