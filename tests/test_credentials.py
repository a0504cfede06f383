"""Credentials: found where they lie, refused when others can read them, never shown."""

import os
from pathlib import Path

import pytest

from aggregator.credentials import LONGEST, READ, Secret, is_reference, secret
from aggregator.errors import ConfigError


def lay(path: Path, content: bytes = b"hunter2\n", mode: int = 0o600) -> Path:
    """A file with this content and these rights."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_does_not_show_itself() -> None:
    hidden = Secret("hunter2")
    assert (repr(hidden), str(hidden), f"{hidden}", f"{[hidden]}") == ("***", "***", "***", "[***]")
    assert hidden.reveal() == "hunter2"
    assert hidden == Secret("hunter2") and hidden != Secret("hunter3") and hidden != "hunter2"
    assert len({hidden, Secret("hunter2")}) == 1


def test_out_of_the_environment(tmp_path: Path) -> None:
    assert secret("env:KEY", tmp_path, {"KEY": "hunter2"}).reveal() == "hunter2"
    with pytest.raises(ConfigError, match="^env:KEY: the environment variable KEY is not set"):
        secret("env:KEY", tmp_path, {})


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
def test_out_of_a_file(tmp_path: Path, mode: int) -> None:
    path = lay(tmp_path / "key", mode=mode)
    assert secret("file:key", tmp_path, {}).reveal() == "hunter2"
    assert secret(f"file:{path}", Path("elsewhere"), {}).reveal() == "hunter2"


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o666])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = lay(tmp_path / "key", mode=mode)
    with pytest.raises(ConfigError) as caught:
        secret("file:key", tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert str(caught.value) == f"file:key: others can read or write {path}; type: chmod o-rw '{path}'"


def test_out_of_the_credentials_directory(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    lay(tmp_path / "account_main", b"second", 0o644)
    assert secret("credential:main", Path(), environ).reveal() == "second"
    lay(tmp_path / "main", b"first", 0o644)
    assert secret("credential:main", Path(), environ).reveal() == "first"
    with pytest.raises(ConfigError) as caught:
        secret("credential:other", Path(), environ)
    assert str(caught.value) == (
        f"credential:other: not there (looked at {tmp_path}/other and {tmp_path}/account_other)"
    )


@pytest.mark.parametrize("environ", [{}, {"CREDENTIALS_DIRECTORY": ""}])
def test_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    monkeypatch.setattr("aggregator.credentials.SYSTEM", tmp_path)
    path = lay(tmp_path / "main")
    assert secret("credential:main", Path(), environ).reveal() == "hunter2"
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod"):
        secret("credential:main", Path(), environ)
    with pytest.raises(ConfigError, match="No such file"):
        secret("credential:other", Path(), environ)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"  \n", b"hunter2\nhunter2\n", b"hun\tter2", b"hun\x00ter2", b"\xffhunter2"),
        *(b"\xef\xbb\xbfhunter2", b"hunter2" * LONGEST, b" hunter2", b"hunter2 \n"),
    ],
)
def test_broken_content_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    lay(tmp_path / "key", content)
    with pytest.raises(ConfigError, match=r"^accounts\.main\.secret: file:key: ") as caught:
        secret("file:key", tmp_path, {}, account="main")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", [b"hunter2", b"hunter2\n", b"hunter2\r\n", b"hunter2\n\n"])
def test_the_end_of_the_line_is_not_part_of_it(tmp_path: Path, content: bytes) -> None:
    lay(tmp_path / "key", content)
    assert secret("file:key", tmp_path, {}).reveal() == "hunter2"


@pytest.mark.parametrize(
    "text",
    ["hunter2", "", "env:", "env:A B", "file:", "credential:../hunter2", "credential:", "vault:hunter2"],
)
def test_what_is_no_reference_is_not_repeated(tmp_path: Path, text: str) -> None:
    assert not is_reference(text)
    with pytest.raises(ConfigError) as caught:
        secret(text, tmp_path, {})
    assert str(caught.value) == "write credential:NAME, file:PATH or env:NAME, never the secret itself"


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    kept = lay(tmp_path / "kept")
    (tmp_path / "key").symlink_to(kept)
    assert secret("file:key", tmp_path, {}).reveal() == "hunter2"
    kept.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read or write"):
        secret("file:key", tmp_path, {})
    kept.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        secret("file:key", tmp_path, {})


def test_a_credential_of_systemd_may_be_a_link_too(tmp_path: Path) -> None:
    lay(tmp_path / "elsewhere", mode=0o444)
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "main").symlink_to(tmp_path / "elsewhere")
    (folder / "gone").symlink_to(tmp_path / "nothing")
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    assert secret("credential:main", Path(), environ).reveal() == "hunter2"
    with pytest.raises(ConfigError, match="No such file"):
        secret("credential:gone", Path(), environ)


def test_root_is_held_to_the_same_rule(tmp_path: Path) -> None:
    """Root can read any file; what counts is who else can."""
    path = lay(tmp_path / "key", mode=0o004)
    with pytest.raises(ConfigError, match="others can read or write|Permission denied"):
        secret(f"file:{path}", tmp_path, {})


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    lay(tmp_path / "key", b"first")
    assert secret("file:key", tmp_path, {}).reveal() == "first"
    lay(tmp_path / "new", b"second").rename(tmp_path / "key")
    assert secret("file:key", tmp_path, {}).reveal() == "second"
    assert {"first", "second"} <= READ


def test_what_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ConfigError, match=rf"^file:{name}: .*([Ii]s a directory|is not a file)"):
            secret(f"file:{name}", tmp_path, {})
    with pytest.raises(ConfigError, match="No such file"):
        secret("file:nothing", tmp_path, {})
