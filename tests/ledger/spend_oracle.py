"""Answers the questions of reports from the source tables of a ledger, with nothing of llmx.

`spend_oracle.py LEDGER < QUESTIONS > ANSWERS`, both JSON. Exit status 77: this Python has no zones or no SQLite.
"""

import json
import sys
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone

try:
    import sqlite3
    from zoneinfo import ZoneInfo

    ZoneInfo("Pacific/Apia")
except Exception:  # whatever is missing
    sys.exit(77)

FIELDS = (
    "calls failed failed_free unpriced uncertain simulated picos at_most simulated_picos open open_unknown held "
    "input cache_read cache_write output reasoning units"
).split()
CLASSES = {
    "input": "input", "input_audio": "input", "input_image": "input",
    "cache_read": "cache_read", "cache_read_audio": "cache_read",
    "cache_write": "cache_write", "cache_write_1h": "cache_write",
    "output": "output", "output_audio": "output", "output_image": "output", "reasoning": "output",
}
SIGNS = {
    "less": lambda a, b: a < b, "atmost": lambda a, b: a <= b, "equal": lambda a, b: a == b,
    "unequal": lambda a, b: a != b, "atleast": lambda a, b: a >= b, "more": lambda a, b: a > b,
}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def read(path):
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    calls = {row["seq"]: dict(row) for row in db.execute("SELECT * FROM call")}
    for call in calls.values():
        call.update(end=None, proof=None, lines=[], tags=json.loads(call["tags"]))
    for row in db.execute("SELECT * FROM settlement"):
        calls[row["call"]]["end"] = dict(row)
    for row in db.execute("SELECT * FROM correction ORDER BY n"):
        calls[row["call"]]["proof"] = dict(row)
    for row in db.execute("SELECT * FROM line ORDER BY n"):
        calls[row["call"]]["lines"].append(dict(row))
    return list(calls.values())


def basis(call):
    said = call["proof"] or call["end"]
    return said["cost_basis"] if said else ""


def total(call):
    said = call["proof"] or call["end"]
    return said["total_picos"] if said else None


def at_most(call):
    if call["proof"] or call["end"]["at_most_picos"] is None:
        return total(call)
    return call["end"]["at_most_picos"]


def counted(call, kind):
    found = [line["quantity"] for line in call["lines"] if CLASSES.get(line["meter"]) == kind]
    return sum(found) if found else None


def status(call):
    if not call["end"]:
        return "open"
    return next((call["end"][name] for name in ("error_class", "stopped") if call["end"][name] is not None), "ok")


def texts(call, field):
    if field.startswith("tag:"):
        return [call["tags"].get(field[4:], "")]
    if field == "model":
        return [call["model"], call["provider"] + "/" + call["model"]]
    if field == "status":
        return [status(call)]
    if field == "basis":
        return [basis(call)]
    if field == "source":
        return ["llmx" if call["source"] is None else call["source"]]
    return [call["group_id" if field == "group" else field] or ""]


def numbered(call, field):
    end = call["end"]
    if not end:
        return None
    if field == "cost":
        return total(call)
    if field == "reasoning":
        return end["reasoning"]
    if field in ("first", "total"):
        at = end["first_token_ms" if field == "first" else "finished_ms"]
        return None if at is None else at - call["opened_ms"]
    return counted(call, {"cacheread": "cache_read", "cachewrite": "cache_write"}.get(field, field))


def lower(text):
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def lets(call, clause):
    if "number" in clause:
        number = numbered(call, clause["number"])
        return number is not None and SIGNS[clause["sign"]](number, clause["value"])
    found = any(
        lower(value) in lower(text) if clause["part"] else value == text
        for text in texts(call, clause["text"])
        for value in clause["values"]
    )
    return found != clause["not"]


def tallied(call):
    tally = dict.fromkeys(FIELDS, 0)
    if not call["end"]:
        ceiling = call["ceiling_picos"]
        tally.update(open=1, open_unknown=int(ceiling is None), held=ceiling or 0)
        return tally
    count, cost, kind = call["requests"], total(call), basis(call)
    failed = call["end"]["error_class"] is not None
    tally.update(
        calls=count,
        failed=count * failed,
        failed_free=count * (failed and kind == "nothing"),
        unpriced=count * (cost is None),
        uncertain=count * (kind in ("estimated", "ceiling")),
        simulated=count * (kind == "simulated"),
        picos=cost or 0,
        at_most=at_most(call) or 0,
        simulated_picos=(cost or 0) * (kind == "simulated"),
        reasoning=call["end"]["reasoning"] or 0,
    )
    for name in ("input", "cache_read", "cache_write", "output"):
        tally[name] = counted(call, name) or 0
    return tally


def parts(call, by):
    """The call whole, or by its meters; what no line carries has the name ''."""
    whole = tallied(call)
    if "meter" not in by:
        return {"": whole}
    rest = dict(whole, input=0, cache_read=0, cache_write=0, output=0, reasoning=0)
    found = {}
    for line in call["lines"]:
        if line["meter"] not in found:
            found[line["meter"]] = dict.fromkeys(FIELDS, 0)
            for name in ("calls", "failed", "failed_free", "uncertain", "simulated"):
                found[line["meter"]][name] = whole[name]
        part, cost = found[line["meter"]], line["picos"] or 0
        part["units"] += line["quantity"]
        if line["picos"] is None:
            part["unpriced"] = whole["calls"]
        for name in ["picos", "at_most"] + ["simulated_picos"] * bool(whole["simulated"]):
            part[name] += cost
            rest[name] -= cost
    if not call["lines"] or rest["picos"] or rest["at_most"]:
        found[""] = rest
    return found


def key(call, dimension, local, meter):
    if dimension == "hour":
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return call["opened_ms"] - into // timedelta(milliseconds=1)
    if dimension == "day":
        return local.date().isoformat()
    if dimension == "week":
        return (local.date() - timedelta(days=local.weekday())).isoformat()
    if dimension == "month":
        return local.date().replace(day=1).isoformat()
    if dimension == "meter":
        return meter
    return texts(call, dimension)[-1]


def answered(calls, question):
    zone, by = ZoneInfo(question["zone"]), question["by"]
    first, after = date.fromisoformat(question["first"]), date.fromisoformat(question["after"])
    groups, whole = defaultdict(lambda: dict.fromkeys(FIELDS, 0)), dict.fromkeys(FIELDS, 0)
    for call in calls:
        local = (EPOCH + timedelta(milliseconds=call["opened_ms"])).astimezone(zone)
        if not first <= local.date() < after or not all(lets(call, clause) for clause in question["clauses"]):
            continue
        for name, number in tallied(call).items():
            whole[name] += number
        for meter, part in parts(call, by).items():
            group = groups[tuple(key(call, dimension, local, meter) for dimension in by)]
            for name, number in part.items():
                group[name] += number
    order = sorted(groups, key=lambda keys: [part if isinstance(part, int) else part.encode() for part in keys])
    return {"groups": [{"keys": list(keys), "tally": groups[keys]} for keys in order], "total": whole}


if __name__ == "__main__":
    books = read(sys.argv[1])
    json.dump([answered(books, question) for question in json.load(sys.stdin)], sys.stdout)
