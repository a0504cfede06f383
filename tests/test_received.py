"""What is kept of any provider's words, whatever its adapter does: secrets masked."""

import sqlite3
from contextlib import closing
from pathlib import Path

from confided import cells
from foreign import polled

SECRET = "PIN 4321 is invalid, account no. 998-1 too"


def test_free_text_is_masked_by_its_path_and_never_by_a_name(tmp_path: Path) -> None:
    order = {
        "Id": "P-1",
        "State": "refused",
        "Errors": [{"Code": "X1", "Description": SECRET}, {"Code": SECRET}],
        "Remark": SECRET,
        "Note": SECRET,
    }
    unknown = {"Id": "P-2", "State": SECRET}
    with polled(tmp_path, {"Ports": [order, unknown]}) as left:
        assert [outcome.outcome for outcome in left.outcomes] == ["complete"]
        masked = "PIN *** is invalid, account no. *** too"
        assert left.rows("select raw_text from v1_reasons where raw_code = 'X1'") == [(masked,)]
        assert left.rows("select raw_status from v1_orders where provider_order_id = 'P-2'") == [(masked,)]
        assert left.rows("select description from v1_orders where provider_order_id = 'P-1'") == [(masked,)]
        assert left.rows("select body from v1_comments") == [(masked,)]
        assert (masked,) in left.rows("select word from v1_unknown_words")
    with closing(sqlite3.connect(tmp_path / "aggregator.db")) as database:
        leaks = [column for column, value in cells(database) if "4321" in value or "998-1" in value]
    assert leaks == []
