"""The work list as people see it. The row that is the most dangerous, a number that leaves without our doing, says
most: the number, where to, under which purchase order number, and whose it was."""

from typing import Any

Row = dict[str, Any]


def for_people(row: Row) -> Row:
    """A row of `v1_waiting`: for `numbers_text` at least their count; carrier and purchase order number of
    port-outs alone, where they say something; and as customer of a port-out whose numbers they were."""
    out = row["direction"] == "port_out"
    numbers = row["numbers_text"] or (str(row["numbers_total"]) if row["numbers_total"] else None)
    return row | {
        "customer_reference": row["customer_reference"] or row["customer_before"],
        "numbers_text": numbers,
        "gaining_carrier": row["gaining_carrier"] if out else None,
        "pon": row["pon"] if out else None,
    }


def without_numbers(row: Row) -> Row:
    """The same for the page, which everybody near the screen reads: of a port-in the count alone."""
    seen = for_people(row)
    return seen if row["direction"] == "port_out" else seen | {"numbers_text": str(row["numbers_total"])}
