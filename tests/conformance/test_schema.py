# SPDX-License-Identifier: Apache-2.0
"""leasehold-schema(5) says what commands.json and the vectors say: every field with its type, every
command, variable and answer."""
import json
import re
from pathlib import Path

from commands import FILE

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "tools" / "man" / "leasehold-schema.5.scd").read_text(encoding="utf-8")
COMMANDS = json.loads(FILE.read_text(encoding="utf-8"))
VECTOR_FILES = {path.name for path in HERE.glob("*.json")} - {
    "commands.json",
    "keys.json",
    "package.json",
    "package-lock.json",
}
VECTORS = [
    vector
    for name in VECTOR_FILES
    for vector in json.loads((HERE / name).read_text(encoding="utf-8"))
]


def section(name):
    return re.search(rf"^# {name}\n(.*?)(?=^# |\Z)", PAGE, re.M | re.S)[1]


def entries(text):
    """{name: (type, the words)} of the page's lists."""
    found = {}
    for head, words in re.findall(r"^(\*.*)\n((?:\t.*\n)+)", text, re.M):
        for name, kind in re.findall(r"\*([\\\w]+)\*(?: \((\w+)\))?", head):
            found[name.replace("\\", "")] = (
                kind or re.findall(r"\((\w+)\)$", head)[-1:] or [""],
                " ".join(words.split()),
            )
    return {
        name: (kind if isinstance(kind, str) else (kind or [""])[0], words)
        for name, (kind, words) in found.items()
    }


def type_of(value):
    if isinstance(value, dict):
        for key, kind in (
            ("$now", "date"),
            ("$numberLong", "long"),
            ("$grown", "long"),
            ("$new", "string"),
        ):
            if key in value:
                return kind
        return {"process": "string"}.get(value.get("$any"), value.get("$any")) or (
            None if "$kept" in value else "document"
        )
    return {str: "string", int: "int", bool: "bool", type(None): None}.get(type(value))


def written():
    """{field: types} of the documents that commands made, in the vectors: what was kept counts as
    it was before, if we wrote it."""
    types = {}
    for vector in VECTORS:
        after, before = vector["after"], vector["before"] or {}
        if not isinstance(after, dict):
            continue
        for field, value in after.items():
            if field != "_id" and (value != {"$kept": True} or before.get("v") == 1):
                types.setdefault(field, set()).add(
                    type_of(before.get(field) if value == {"$kept": True} else value)
                )
    return types


def test_every_field_stands_on_the_page_with_its_type():
    page = entries(section("DOCUMENT"))
    fields = written()
    for field in ("expires_at", "token"):  # of what cannot be read, and a break leaves
        fields[field] -= {"document", "string", "int"}
    fields["waiters"] -= {"string"}
    theirs = {"user_id", "project", "note"}
    assert set(page) - {"_id"} == set(fields) - theirs
    for field, types in fields.items():
        if field not in theirs:
            assert types - {None} == {page[field][0]}, (field, types, page[field])


def test_every_field_of_a_reader_a_waiter_and_a_release_stands_on_the_page():
    page = entries(section("DOCUMENT"))
    inner = {"shared": set(), "waiters": set(), "released": set()}
    for vector in VECTORS:
        for document in (
            vector["before"] or {},
            vector["after"] if isinstance(vector["after"], dict) else {},
        ):
            for name in ("shared", "waiters"):
                for entry in (
                    document[name].values() if isinstance(document.get(name), dict) else ()
                ):
                    inner[name] |= {
                        field
                        for field in (entry if isinstance(entry, dict) else ())
                        if not field.startswith("$")
                    }
            if isinstance(document.get("released"), dict):
                inner["released"] |= {
                    field for field in document["released"] if not field.startswith("$")
                }
    assert (
        len(inner["waiters"]) == 11 and len(inner["shared"]) == 11 and len(inner["released"]) >= 6
    )
    for name, fields in inner.items():
        assert [
            field for field in fields if not re.search(rf"\b{field}\b", page[name][1])
        ] == [], name


def test_every_command_stands_on_the_page_and_no_other():
    told = set(entries(section("COMMANDS"))) | set(re.findall(r"^@command (\w+)@$", PAGE, re.M))
    assert told == set(COMMANDS)


def test_the_commands_are_of_the_form_that_the_page_says():
    for name, command in COMMANDS.items():
        if name in ("beat", "renew_short", "release_short"):
            assert list(command) == (
                ["update", "ordered", "updates"] if name == "beat" else ["update", "updates"]
            )
            assert [statement["q"].get("workspace_id") for statement in command["updates"]] == [
                "<key>"
            ]
            continue
        upsert = ["upsert"] if name.startswith(("acquire", "wait")) else []
        let = [] if name.endswith("_short") else ["let"]
        assert list(command) == [
            "findAndModify",
            "query",
            "update",
            "new",
            *upsert,
            "fields",
            *let,
        ], name
        assert (
            command["query"] == {"workspace_id": "<key>"}
            and command["new"] is True
            and command.get("upsert", True) is True
        )
    assert (
        "{findAndModify: <collection>, query: {workspace_id: <key>}, update: [...],\n new: true,"
        " upsert: true, fields: {...}, let: {...}}" in PAGE
    )


def test_every_variable_and_every_computed_field_stands_on_the_page():
    variables = set(re.findall(r"<\w+>", FILE.read_text(encoding="utf-8")))
    assert variables == set(re.findall(r"<\w+>", section("COMMANDS").split("All but")[0]))
    computed = {
        name
        for command in COMMANDS.values()
        for name, value in command.get("fields", {}).items()
        if value not in (0, 1)
    }
    assert computed == set(entries(section("REPLIES")))


def outside_of_literals(value):
    """All texts that the server would look at as an expression."""
    if isinstance(value, dict):
        return [
            text
            for name, part in value.items()
            if name != "$literal"
            for text in outside_of_literals(part)
        ]
    if isinstance(value, list):
        return [text for part in value for text in outside_of_literals(part)]
    return [value]


def test_what_users_typed_stands_under_literal_and_nowhere_else():
    numbers = {
        "<ttl_ms>",
        "<grace_ms>",
        "<token>",
        "<max_shared>",
        "<pid>",
        "<claim_ms>",
        "<beat>",
        "<max_waiters>",
        "<keep_ms>",
    }
    for name, command in COMMANDS.items():
        if name != "beat":
            sent = command.get("updates", [{}])[0].get("u", command["update"])
            loose = outside_of_literals(
                {"update": sent, "fields": command.get("fields"), "let": command.get("let")}
            )
            assert {
                text for text in loose if isinstance(text, str) and text.startswith("<")
            } <= numbers, name


def test_the_files_are_named():
    assert set(re.findall(r"([a-z]+\.json)", section("FILES"))) == VECTOR_FILES | {
        "commands.json",
        "keys.json",
    }
