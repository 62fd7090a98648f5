# SPDX-License-Identifier: Apache-2.0
"""That no advice is forgotten: each piece of advice in a message of the sources, with the test that
follows it. What is found in the sources and not listed here fails; so does what is listed with a
test that is not there. Help texts are not messages: test_pages.py and test_readme.py have those."""
import re
from pathlib import Path

import mongosh
from advice import NAMES, ROOT

ADVICE, SHELL, SERVE, REFUSED = (
    "test_advice.py",
    "test_advice_shell.py",
    "test_serve_advice.py",
    "test_refused.py",
)
ODD = f"{ADVICE}::test_what_the_doctor_says_of_an_odd_key"
UNREADABLE = f"{ADVICE}::test_a_document_that_cannot_be_read"
MISSING = f"{ADVICE}::test_an_option_that_is_missing"
ROLES = f"{ADVICE}::test_a_user_without_the_roles"
STRING_OF_A_URI = f"{ADVICE}::test_a_connection_string_that_is_wrong"
LISTEN = f"{SERVE}::test_where_to_listen"
WHO_MAY = f"{SERVE}::test_who_may_not_is_told_how"

# By source file: commands of ours, calls for the MongoDB shell, options, pages, and connection
# strings that are to be written.
REACH = "test_serve_reach.py"
FOLLOWED = {
    "doctor": {
        "leasehold doctor --trial": f"{ADVICE}::test_a_trial_that_was_not_made",
        "leasehold cleanup": f"{ADVICE}::test_what_a_trial_leaves_where_it_may_not_remove",
        "leasehold-upgrade(7)": f"{ADVICE}::test_a_mode_that_refuses_nobody",
    },
    "doctor_data": {
        "leasehold migrate --dry-run": (
            f"{ADVICE}::test_the_doctor_on_duplicates_and_a_missing_index"
        ),
        "leasehold migrate": f"{ADVICE}::test_the_doctor_on_duplicates_and_a_missing_index",
        "leasehold list --malformed": (
            f"{ADVICE}::test_what_stands_on_the_command_line_stands_in_the_advice"
        ),
        "leasehold migrate --quarantine --even-live": ODD,
        "--id": ODD,
        "leasehold break --reason": ODD,
        "leasehold cleanup": f"{ADVICE}::test_what_is_left_over",
        "leasehold-upgrade(7)": f"{SHELL}::test_an_index_by_which_ended_leases_go",
        "--collection": f"{ADVICE}::test_a_collection_that_is_not_fit",
    },
    "doctor_finding": {"leasehold doctor --roles": ROLES},
    "doctor_rights": {"leasehold doctor --roles": ROLES},
    "doctor_uri": {
        "mongodb://": f"{ADVICE}::test_a_connection_string_that_names_one_member",
        "leasehold-connection(7)": f"{ADVICE}::test_an_option_that_does_not_exist",
    },
    "index": {"leasehold migrate": f"{ADVICE}::test_an_acquire_without_the_index"},
    "lease": {"leasehold status": f"{ADVICE}::test_a_key_in_advice_is_that_key_for_a_shell"},
    "twice": {"leasehold status": "test_twice.py::test_one_member_dies_at_most"},
    "migrate": {
        "leasehold migrate --yes": f"{ADVICE}::test_duplicates_without_yes",
        "--accept-foreign-keys": f"{ADVICE}::test_a_flag_of_the_refused_run_stands_in_the_advice",
    },
    "migrate_look": {
        "leasehold migrate --yes --quarantine": (
            f"{ADVICE}::test_a_migration_with_the_index_there_sees_typed_keys"
        ),
        "leasehold migrate": f"{ADVICE}::test_a_migration_with_the_index_there_sees_typed_keys",
        "--yes": f"{ADVICE}::test_a_migration_with_the_index_there_sees_typed_keys",
        "--accept-foreign-keys": f"{ADVICE}::test_a_migration_with_the_index_there_sees_typed_keys",
        "--archive": f"{ADVICE}::test_a_flag_of_the_refused_run_stands_in_the_advice",
        "--no-archive": f"{ADVICE}::test_a_flag_of_the_refused_run_stands_in_the_advice",
        "--adopt": f"{ADVICE}::test_a_collection_that_is_not_taken_for_ours",
        "--even-live": MISSING,
        "--even-most": MISSING,
    },
    "migrate_move": {
        "($unset)": (
            f"{REFUSED}::test_among_duplicates_a_document_that_cannot_grow_is_named_and_nothing_"
            "is_lost"
        )
    },
    "migrate_one": {"--even-live": MISSING},
    "shell": {
        "db getSiblingDB": f"{SHELL}::test_an_index_to_drop"
    },  # the beginning of both that it writes
    "store_denied": {"leasehold doctor --roles": ROLES},
    "store_refused": {
        "leasehold migrate": f"{SHELL}::test_a_server_that_scans_nothing",
        "db adminCommand setParameter notablescan": f"{SHELL}::test_a_server_that_scans_nothing",
        "db adminCommand setParameter requireApiVersion": (
            f"{SHELL}::test_a_server_that_wants_an_api_version"
        ),
        "db adminCommand setFeatureCompatibilityVersion": (
            f"{SHELL}::test_an_old_feature_compatibility_version"
        ),
        "--apiVersion": f"{SHELL}::test_a_server_that_wants_an_api_version",
        "leasehold status": "test_twice.py::test_one_member_dies_at_most",  # says it on MongoDB 7.0
        "($unset)": f"{REFUSED}::test_a_document_that_cannot_grow",
        "--db": f"{REFUSED}::test_a_database_that_differs_in_case",
        "--collection": "test_connection.py::test_database_and_collection",
    },
    "store_set": {
        "rs initiate": f"{SHELL}::test_a_set_that_is_not_initiated",
        "mongodb://": f"{ADVICE}::test_a_connection_string_that_names_one_member",
    },
    "store_tls": {
        "--insecure-tls": (
            "test_tls.py::test_what_switches_checks_off_is_refused_unless_asked_for_by_name"
        )
    },
    "store_uri": {"mongodb://": STRING_OF_A_URI},
    "store_uri_auth": {"mongodb://": STRING_OF_A_URI},
    "store_uri_options": {
        "leasehold-connection(7)": f"{ADVICE}::test_an_option_that_does_not_exist",
        "--insecure-tls": (
            "test_tls.py::test_what_switches_checks_off_is_refused_unless_asked_for_by_name"
        ),
    },
    "trial": {"leasehold doctor --trial": f"{ADVICE}::test_a_trial_that_was_not_made"},
    "cmd_audit": {"--audit": f"{ADVICE}::test_no_trail"},
    "cmd_break": {"--reason": MISSING, "--yes": MISSING},
    "cmd_cleanup": {"--yes": MISSING, "--dry-run": MISSING},
    "cmd_doctor": {"--as": MISSING},
    "cmd_key": {"leasehold key": f"{REACH}::test_parts_are_joined_as_everywhere"},
    "cmd_migrate": {
        "leasehold list --malformed": (
            f"{ADVICE}::test_what_stands_on_the_command_line_stands_in_the_advice"
        ),
        **dict.fromkeys(["--yes", "--dry-run", "--quarantine"], MISSING),
        **dict.fromkeys(
            ["--archive", "--no-archive", "--accept-foreign-keys"],
            f"{ADVICE}::test_one_of_two_that_exclude_each_other",
        ),
    },
    "cmd_stats": dict.fromkeys(
        ["--json", "--prometheus"], f"{ADVICE}::test_one_of_two_that_exclude_each_other"
    ),
    "cmd_bench": {"--only": f"{ADVICE}::test_one_of_several_words"},
    "run": {"--faults": f"{ADVICE}::test_one_of_several_words", "--yes": MISSING},
    "cmd_run": {"--note": f"{ADVICE}::test_a_note_that_is_too_long"},
    "cmd_transfer": {"--to": MISSING},
    "connect": {
        "mongodb://": f"{ADVICE}::test_no_connection_string",
        "--uri": f"{ADVICE}::test_no_connection_string",
        "--uri-file": f"{ADVICE}::test_no_connection_string",
        "--lease": f"{ADVICE}::test_no_lease",
        "--insecure-tls": (
            "test_tls.py::test_what_switches_checks_off_is_refused_unless_asked_for_by_name"
        ),
    },
    "main": {"--help": f"{ADVICE}::test_a_word_that_is_no_command_or_option"},
    "opts": {"--help": f"{ADVICE}::test_a_word_that_is_no_command_or_option"},
    "record": {
        "leasehold break --reason": f"{ADVICE}::test_a_lock_without_an_end",
        "leasehold migrate --quarantine --even-live": UNREADABLE,
        "leasehold list --malformed": UNREADABLE,
        "--id": UNREADABLE,
        "--wait": f"{ADVICE}::test_what_waits_by_itself",
    },
    "handling": {
        "--admin-token-file": WHO_MAY,
        "--max-ttl": f"{REACH}::test_bounds_are_the_servers",
    },
    "listen": {"--listen": LISTEN, "--token-file": LISTEN},
    "routes": {"--token-file": WHO_MAY},
    "serve": {"--token-file": LISTEN, "--admin-token-file": LISTEN},
}

# The doctor's findings: what it says is to be done about each.
DOCTOR = {
    **dict.fromkeys(["malformed", "odd_key", "no_end"], ODD),
    "too_long": f"{ADVICE}::test_an_end_too_far_away",
    "leaked": f"{ADVICE}::test_what_is_left_over",
    **dict.fromkeys(
        ["no_token", "other_id"], f"{ADVICE}::test_documents_of_older_programs_need_nothing"
    ),
    **dict.fromkeys(
        ["index", "duplicates"], f"{ADVICE}::test_the_doctor_on_duplicates_and_a_missing_index"
    ),
    "ttl_index": f"{SHELL}::test_an_index_that_acts_on_leases",
    "other_index": f"{SHELL}::test_an_index_that_acts_on_leases",
    "collection": f"{ADVICE}::test_a_collection_that_is_not_fit",
    "validator": f"{SHELL}::test_a_validator_in_the_way",
    "compatibility": f"{SHELL}::test_an_old_feature_compatibility_version",
    "privilege": ROLES,
    "no_access_control": f"{ADVICE}::test_a_server_without_access_control",
    "not_tried": f"{ADVICE}::test_a_trial_that_was_not_made",
    "trial": f"{REFUSED}::test_a_server_that_only_looks_like_mongodb_is_found_by_trying",
    "trial_left": f"{ADVICE}::test_what_a_trial_leaves_where_it_may_not_remove",
    "not_enforced": f"{ADVICE}::test_a_mode_that_refuses_nobody",
    "uri_option": f"{ADVICE}::test_an_option_that_does_not_exist",
    **dict.fromkeys(
        ["uri_follows_no_election", "uri_names_one_member"],
        f"{ADVICE}::test_a_connection_string_that_names_one_member",
    ),
    "deployment": f"{REFUSED}::test_it_is_refused_with_what_to_do",
    **dict.fromkeys(
        ["member_down", "clock_offset"],
        "test_doctor.py::test_a_member_that_is_down_and_one_whose_clock_is_off",
    ),
    "no_tls": "test_doctor.py::test_a_set_with_users",  # with TLS nothing is found
    # Another server, or more of them: the tests' set has three members that keep data, and is told
    # of none of these.
    **dict.fromkeys(
        ["standalone", "arbiter", "few_members"], "test_doctor.py::test_a_set_with_users"
    ),
    **dict.fromkeys(
        ["server_defect", "driver_defect"],
        "test_doctor.py::test_server_versions_with_known_defects",
    ),
}

# What `serve` says, by how it begins: advice, with its test …
SEVERAL = f"{REACH}::test_what_is_no_request_for_several_keys"
WRONG, ARGUMENT, TOKENS = (
    f"{SERVE}::test_a_request_that_is_wrong",
    f"{SERVE}::test_an_argument_that_is_wrong",
    f"{SERVE}::test_a_token_file_that_is_wrong",
)
SPENT, NOTHING = (
    f"{SERVE}::test_an_idempotency_key_that_is_spent",
    f"{SERVE}::test_a_path_with_nothing_there",
)
SAID = {
    '"owner" is missing': WRONG,
    '"mode" must be': WRONG,
    '"wait_ms" is for one key': SEVERAL,
    'the body must have "keys"': SEVERAL,
    "has too many strings: see maxItems in /openapi.json": SEVERAL,
    '"ttl_ms" is more than': SEVERAL,
    "Idempotency-Key is for one key": SEVERAL,
    '"resume" takes over': f"{REACH}::test_only_the_bearer_of_a_name_resumes",
    '"to" is missing': f"{REACH}::test_a_lease_is_transferred",
    "%s must be a percent-encoded key": f"{REACH}::test_what_is_no_list_of_keys",
    "since must be a duration": f"{REACH}::test_counts_and_the_trail",
    '"wait_ms" must be': WRONG,
    "Idempotency-Key must be": WRONG,
    "must be": WRONG,
    "is not a field of this body": WRONG,
    "the body must be": WRONG,
    "which lease? Send the lease id": WRONG,
    "Lease-Id must be": WRONG,
    "the lease that was granted for this Idempotency-Key has ended: use": SPENT,
    "this Idempotency-Key was used for another body: use": SPENT,
    "is too long: see maxLength in /openapi.json": f"{SERVE}::test_a_text_that_is_too_long",
    "%s must be percent-encoded": ARGUMENT,
    "%s must be true or false": ARGUMENT,
    "limit must be": ARGUMENT,
    "after must be": ARGUMENT,
    "there is no argument": ARGUMENT,
    "too many arguments": ARGUMENT,
    "the key in the path has a %": ARGUMENT,
    "there is nothing at this path; /openapi.json": NOTHING,
    "this path takes %s": NOTHING,
    "%s takes no body here": NOTHING,
    "send a token of this server": WHO_MAY,
    "only an admin's token": WHO_MAY,
    "without --token-file the server serves only": WHO_MAY,
    '"reason" is missing': WHO_MAY,
    "--listen": LISTEN,
    "where to listen?": LISTEN,
    "%s can be reached from other hosts": LISTEN,
    "%s is in use, or may be": LISTEN,
    "--admin-token-file needs": LISTEN,
    "a token has": TOKENS,
    "a token is": TOKENS,
    "the same token as in": TOKENS,
    "a file holds": TOKENS,
    "it contains a NUL": TOKENS,
    "a carriage return inside": TOKENS,
    "the name before the first": TOKENS,
    "it begins with a byte order mark": TOKENS,
    "the token file %s is not a regular file": (
        "test_serve_attacks.py::test_a_token_file_that_would_block_is_refused"
    ),
    "everybody on this machine may read": f"{SERVE}::test_a_token_file_that_everybody_may_read",
    "the server is stopping; nothing is held: try again": (
        f"{SERVE}::test_a_server_that_ends_is_asked_again"
    ),
    "LEASEHOLD_PROTECT forbids": "test_serve.py::test_what_is_protected_is_not_broken",
}
# … and what only says how it is.
FACTS = (
    "the server has no room for another wait",
    "too many requests with this Idempotency-Key",
    "the dashboard has no such file",
    "the token file %s cannot be read",
    "the token file %s has more",
    "the token file %s holds no",
    "watching has ended",
    "the server is stopping, or has no room",
    "a NUL, a folded line",
    "a header's name with",
    "a control character in",
    "this header may occur only once",
    "only chunked is allowed",
    "not together with Transfer-Encoding",
    "the head can be read",
    "requests that wait",
    "streams of events",
    "your client has",
    "this server has too many",
    "the database has not replied",
    "the body has more",
    "the headers have more",
    "the path and the arguments",
    "libmicrohttpd: ",
    "the HTTP server could not",
    "%s exists already",
    "another server listens",
    "cannot listen",
    "cannot read the address",
    "lines dropped here",
    "the system has no thread",
    "the client has closed",
    "out of memory",
    "is given twice",
    "the tokens were read again",
    "the tokens stay as they were",
    "leasehold %s listens",
    "stopped by signal",
    "cleanup removed",
    "keys, and dropped",
    "dead holders and",
    "dead waiters",
    "long lists",
    "not in HTTP/1.0",
    "cleanup ended early",
    "the revoked",
    "default-src",
    "Content Too Large",
    "no server responds at",
    "the server did not respond",
    "the server accepts connections, but does not reply",
)

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
HELP = re.compile(
    r"\.(?:summary|detail|example|help)\s*=(?:\s*(?:\"(?:[^\"\\]|\\.)*\"|PRI\w+))+"
    r"|\{OPT_\w+,.*?\},\n",
    re.S,
)
COMMAND = re.compile(rf"leasehold ((?:{'|'.join(NAMES)})(?: --[a-z-]+)*)(?![a-z:])")
OPTION = re.compile(r"(?<![\w-])--[a-z][A-Za-z-]+")
PAGE = re.compile(r"leasehold-[a-z]+\([1-9]\)")
ITSELF = re.compile(r"leasehold [a-z]+: ")  # a question on a terminal
SOURCES = [
    path
    for path in sorted([*ROOT.glob("src/**/*.c"), *ROOT.glob("tools/**/*.c")])
    if path.stem not in ("help", "manual", "overview", "cmd_completion", "scrape", "texts")
]


def text_of(path):
    """Without comments, characters, help texts; a string that goes on in the next line is one."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = HELP.sub("", re.sub(r"'(\\.|[^'\\])'", "", text))
    return re.sub(r'"\s*\n\s*"', "", text)


def strings(path):
    return [re.sub(r'\\(["\\])', r"\1", string) for string in STRING.findall(text_of(path))]


def advice_in(string):
    if ITSELF.match(string):
        return set()
    found = (
        {"leasehold " + command for command in COMMAND.findall(string)}
        | set(PAGE.findall(string))
        | mongosh.calls(string)
    )
    if " " in string:  # else it is compared with something
        found |= set(OPTION.findall(COMMAND.sub("", string))) | (
            {"mongodb://"} if "mongodb://" in string else set()
        )
    return found | ({"($unset)"} if "($unset)" in string else set())


def is_there(test):
    file, name = test.split("::")
    return f"def {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")


def test_each_test_that_is_named_is_there():
    named = (
        {test for tests in FOLLOWED.values() for test in tests.values()}
        | set(DOCTOR.values())
        | set(SAID.values())
    )
    assert not [test for test in named if not is_there(test)]


def test_no_advice_is_without_a_test():
    found = {}
    for path in SOURCES:
        found.setdefault(path.stem, set()).update(*map(advice_in, strings(path)))
    missing = {
        stem: some - FOLLOWED.get(stem, {}).keys()
        for stem, some in found.items()
        if some - FOLLOWED.get(stem, {}).keys()
    }
    assert not missing, "follow this in a test, and name the test above"
    stale = {
        stem: tests.keys() - found.get(stem, set())
        for stem, tests in FOLLOWED.items()
        if tests.keys() - found.get(stem, set())
    }
    assert not stale, "nothing advises this any more"


def test_no_finding_of_the_doctor_is_without_a_test():
    text = "".join(text_of(path) for path in SOURCES if path.stem.startswith("doctor"))
    found = set(re.findall(r'\(lh_kind\)\{[^}"]*"(\w+)"', text)) | set(
        re.findall(r': "(server_defect)"', text)
    )
    found |= set(
        re.findall(r'\{"(\w+)",\s*"', re.search(r"checks\[\] = \{(.*?)\};", text, re.S)[1])
    )
    assert found == DOCTOR.keys()


def test_nothing_that_serve_says_is_without_a_test():
    sentence = re.compile(r"[A-Za-z\"'-]+ [a-z]{2,}")
    for path in SOURCES:
        if path.parent.name != "serve":
            continue
        for string in strings(path):
            if (
                not sentence.search(string)
                or "\\n" in string
                or re.match(r"(: |event: |Bearer realm|text/|leasehold_)", string)
            ):
                continue
            known = string.strip().startswith((*SAID, *FACTS))
            assert known, (
                f"{path.name}: {string!r}: if it advises, follow it in a test and name that above,"
                " else add it to FACTS"
            )


def test_the_program_knows_an_advised_command_when_it_prints_one():
    """It puts the options of its command line behind it (out_advice())."""
    names = re.search(
        r"names\[\] = \{(.*?)\};", (ROOT / "tools/common/out.c").read_text(encoding="utf-8"), re.S
    )
    assert sorted(re.findall(r"\w+", names[1])) == NAMES


def test_the_search_finds_what_it_is_for():
    for string, advice in (
        ("run `leasehold run KEY`", {"leasehold run"}),
        ("see leasehold acquire --wait 5s", {"leasehold acquire --wait"}),
        ('db.x.dropIndex("%s")', {"db dropIndex"}),
        ("rs.initiate()", {"rs initiate"}),
        ("add --yes", {"--yes"}),
        ("db.adminCommand({setParameter: 1})", {"db adminCommand setParameter"}),
        ("leasehold migrate: 5 keys", set()),
        ("leasehold-upgrade(7) has it", {"leasehold-upgrade(7)"}),
        ("write mongodb://host/", {"mongodb://"}),
    ):
        assert advice_in(string) == advice, string
