# SPDX-License-Identifier: Apache-2.0
"""Calls that messages print for the MongoDB shell, run by pymongo as that shell runs them. It
begins in the database `test`, so that a call which does not say where it belongs goes astray here
as it would for a person."""
import json
import re

START = re.compile(r"\b(?:db|rs)(?=\.[A-Za-z])")
NAME = re.compile(r"\.([A-Za-z]\w*)")
KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)\s*:")


def closing(text, at):
    """Behind the parenthesis that closes the one at `at`; the text's end where it is a part of a
    call."""
    depth, quoted = 0, False
    while at < len(text):
        letter = text[at]
        if quoted:
            at += letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        else:
            depth += (letter in "([{") - (letter in ")]}")
        at += 1
        if depth == 0 and not quoted:
            return at
    return at


def parts(text):
    """(what it begins with, [(name, arguments or None)…], the end) of each call."""
    at = 0
    while match := START.search(text, at):
        at, links = match.end(), []
        while name := NAME.match(text, at):
            at, arguments = name.end(), None
            if text[at : at + 1] == "(":
                end = closing(text, at)
                arguments, at = text[at + 1 : end - 1], end
            links.append((name[1], arguments))
        yield match[0], links


def calls(text):
    """What a call is, without what differs from case to case: the methods, and the names of what is
    passed."""
    found = set()
    for start, links in parts(text):
        names = [start, *(name for name, arguments in links if arguments is not None)]
        for _, arguments in links:
            names += [key for _, key in KEY.findall(arguments or "")]
        found.add(" ".join(names))
    return found


def run(client, text):
    """Runs the calls in the text, and returns what the last one answers."""
    answer = None
    for start, links in parts(text):
        this = client["test"] if start == "db" else client["admin"]
        for name, arguments in links:
            values = (
                None
                if arguments is None
                else json.loads("[" + KEY.sub(r'\1"\2":', arguments) + "]")
            )
            this = step(client, this, name, values)
        answer = this
    assert answer is not None, f"no call in {text!r}"
    return answer


def step(client, this, name, values):
    if values is None:
        return this[name]
    if name == "getSiblingDB":
        return client[values[0]]
    if name == "getCollection":
        return this[values[0]]
    if name == "adminCommand":
        return client.admin.command(values[0])
    if name == "runCommand":
        return this.command(values[0])
    if name == "initiate":
        return client.admin.command("replSetInitiate", values[0] if values else {})
    if name == "dropIndex":
        return this.database.command("dropIndexes", this.name, index=values[0])
    raise AssertionError(f"the shell of these tests does not know {name}")
