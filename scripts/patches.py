# SPDX-License-Identifier: Apache-2.0
"""Small changes of the sources, as tables of {file, from, to}: for scripts/mutants and
scripts/model."""


class DoesNotApply(Exception):
    pass


def apply(change, text):
    """The text with the change made. What is to be replaced must occur once."""
    times = text.count(change["from"])
    if times != 1:
        raise DoesNotApply(f"{change['file']} has {times} times: {change['from'].strip()}")
    return text.replace(change["from"], change["to"])
