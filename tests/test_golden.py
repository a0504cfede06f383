"""Page → facts → changes → views: each recorded reply comes to the rows that stand beside it, on both databases."""

import json

from golden import golden, views_of
from recordings import FIXTURES, recordings


def test_each_recorded_reply_comes_to_the_rows_that_stand_beside_it(database_url: str) -> None:
    for recording, text in views_of(database_url):
        assert text == golden(recording).read_text("utf-8"), (
            f"{recording} comes to other rows now; if that is meant: python tests/recordings.py"
        )


def test_no_golden_file_is_left_without_its_recording() -> None:
    stored = set(FIXTURES.glob("*/*.views.json"))
    assert stored == {golden(recording) for recording in recordings()}


def test_the_recordings_come_to_every_kind_of_event_that_telnyx_publishes() -> None:
    events = {
        event["event_type"]
        for recording in recordings("telnyx")
        for event in json.loads(golden(recording).read_text("utf-8")).get("events", ())
    }
    assert events >= {
        "porting_order.deleted",
        "porting_order.loa_updated",
        "porting_order.messaging_changed",
        "porting_order.new_comment",
        "porting_order.sharing_token_expired",
        "porting_order.split",
        "porting_order.status_changed",
        "portout.foc_date_changed",
        "portout.new_comment",
        "portout.status_changed",
    }
