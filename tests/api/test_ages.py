# SPDX-License-Identifier: Apache-2.0
"""Programs and libraries of different age: what a later version's header could be, made of this
one's, with today's library."""
import re
import subprocess

import pytest
from conftest import ROOT, URI, cached

PROGRAM = """
#include <leasehold/leasehold.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    lh_acquire_options acquire = LH_ACQUIRE_OPTIONS_INIT;
    lh_cleanup_report report = LH_CLEANUP_REPORT_INIT;
    lh_error error = LH_ERROR_INIT;
    lh_store *store = NULL;
    lh_lease *lease = NULL;
    options.uri = argv[1];
    options.db = argv[2];
    options.at_open = LH_AT_OPEN_MIGRATE;
    SET
    int outcome = lh_store_open(&options, &store, &error);
    if (outcome == LH_OK)
        outcome = lh_acquire(store, argv[3], &acquire, &lease, NULL, &error);
    if (outcome == LH_OK)
        outcome = lh_cleanup(store, NULL, &report, &error);
    printf("%s %d %s\\n", lh_outcome_word(outcome), lease && lh_lease_valid(lease),
           outcome == LH_OK ? "" : error.message);
    SEE
    (void)lh_lease_free(lease);
    lh_store_close(store);
    return argc != 4;
}
"""


HEADERS = sorted((ROOT / "include/leasehold").glob("*.h"))


def header_text():
    """leasehold.h with what it includes, as one text."""
    included, found = set(), lambda name: (ROOT / "include/leasehold" / name).read_text()

    def expand(match):
        if match[1] in included:
            return ""
        included.add(match[1])
        return inclusion.sub(expand, found(match[1]))

    inclusion = re.compile(r"^#include <leasehold/(\w+\.h)>\n", re.M)
    text = inclusion.sub(expand, found("leasehold.h"))
    assert included == {path.name for path in HEADERS} - {"leasehold.h", "mongo.h"}
    return text


class Age:
    """A folder with this header as another version might have it, and programs that were compiled
    with that."""

    def __init__(self, staged, database, place):
        self.staged, self.database, self.place, self.n = staged, database, place, 0
        self.header = header_text()

    def add(self, struct, field):
        """At the end, where a later version adds."""
        end = f"}} {struct};\n"
        assert self.header.count(end) == 1
        self.header = self.header.replace(end, f"    {field}\n{end}")

    def remove_last(self, struct):
        """The program is older: its struct ends before, and its macro too."""
        body, macro = (
            re.search(rf"typedef struct {struct} \{{\n.*?\n\}} {struct};\n", self.header, re.S)[0],
            struct.upper() + "_INIT",
        )
        fields = re.sub(r"/\*.*?\*/", "", body, flags=re.S).rsplit(";", 3)
        assert len(fields) == 4
        self.header = self.header.replace(body, f"{fields[0]};\n}} {struct};\n")
        init = re.search(rf"#define {macro} .*?\n    \}}\n", self.header, re.S)[0]
        self.header = self.header.replace(
            init, re.sub(r",\s*[^,]*?(\s*\\\n    \}\n)$", r"\1", init)
        )

    def run(self, set_="", see=""):
        self.n += 1
        include, program = (
            self.place / f"include{self.n}" / "leasehold",
            self.place / f"program{self.n}",
        )
        include.mkdir(parents=True)
        (include / "leasehold.h").write_text(self.header)
        source = PROGRAM.replace("SET", set_).replace("SEE", see)
        self.staged.run(
            cached("CMAKE_C_COMPILER"),
            f"-I{include.parent}",
            "-x",
            "c",
            "-",
            "-o",
            program,
            "-x",
            "none",
            self.staged.libdir / "libleasehold.so",
            input=source,
        )
        return self.staged.run(program, URI, self.database.name, f"k{self.n}")


@pytest.fixture
def age(staged, database, tmp_path):
    return Age(staged, database, tmp_path)


@pytest.mark.parametrize(
    "field, value",
    [
        ("bool strict;", "true"),
        ("int strict;", "1"),
        ("int64_t strict_ms;", "INT64_MIN"),
        ("const char *strict;", '"x"'),
        ("double strict;", "0.5"),
        ("char strict[5];", "{0, 0, 0, 0, 1}"),
        ("void (*strict)(void);", "abort_it"),
        ("bool a; int64_t b; bool strict;", "true"),
    ],
)
def test_an_option_of_a_later_version_is_not_lost(age, field, value):
    """Refused where it is set: the program would hold an ordinary lease, and believe another. Else
    all is as ever."""
    name = re.search(r"(strict\w*)", field)[1]
    age.header = age.header.replace(
        "#ifdef __cplusplus\nextern",
        "static inline void abort_it(void) {}\n#ifdef __cplusplus\nextern",
        1,
    )
    age.add("lh_acquire_options", field)
    assert age.run() == "ok 1 \n"
    said = age.run(
        f"memcpy(&acquire.{name}, (__typeof__(acquire.{name})[]){{{value}}}, sizeof"
        f" acquire.{name});"
    )
    assert (
        said.startswith("invalid 0 lh_acquire_options sets an option that this library")
        and " knows " in said
    )
    assert age.database.workspace_locks.count_documents({"workspace_id": "k2"}) == 0


@pytest.mark.parametrize("struct", ["lh_store_options", "lh_migrate_options"])
def test_so_it_is_with_a_store_s(age, struct):
    age.add(struct, "bool strict;")
    nested = (
        "static lh_migrate_options migrate = LH_MIGRATE_OPTIONS_INIT; options.migrate = &migrate;"
    )
    assert age.run(nested) == "ok 1 \n"
    which = "options" if struct == "lh_store_options" else "migrate"
    assert age.run(nested + f"{which}.strict = true;").startswith(
        f"invalid 0 {struct} sets an option"
    )


def test_a_program_that_is_older_goes_on(age):
    for struct in ("lh_acquire_options", "lh_store_options"):
        age.remove_last(struct)
    assert age.run("acquire.ttl_ms = 5000;") == "ok 1 \n"
    assert age.run("acquire.ttl_ms = 1;").startswith("invalid 0 ttl_ms")


def test_reports_and_errors_of_a_later_version_are_filled(age):
    age.add("lh_cleanup_report", "uint64_t later;")
    age.add("lh_error", "char later[40];")
    set_ = (
        "report.later = 7; strcpy(error.later, \"untouched\"); acquire.ttl_ms = argv[3][1] == '1' ?"
        " 30000 : 1;"
    )
    see = 'printf("%d %s\\n", (int)report.later, error.later);'
    assert age.run(set_, see) == "ok 1 \n7 untouched\n"
    assert re.fullmatch(r"invalid 0 ttl_ms .*\n7 untouched\n", age.run(set_, see))


def test_what_was_not_initialised_is_noticed_at_once(age):
    assert age.run("memset(&error, 0xAA, sizeof error);").startswith(
        "invalid 0 the size of lh_error is "
    )
    assert "LH_ERROR_INIT" in age.run("memset(&error, 0, sizeof error);")
    assert "LH_ACQUIRE_OPTIONS_INIT" in age.run("acquire = (lh_acquire_options){.ttl_ms = 30000};")
    assert "LH_CLEANUP_REPORT_INIT" in age.run("memset(&report, 0, sizeof report);")


def test_a_program_for_a_later_library_does_not_start(staged, tmp_path):
    """With a function that this one has not: the loader says so, not a call in the middle of the
    work."""
    functions = (ROOT / "src/leasehold.map").read_text()
    (tmp_path / "map").write_text(
        functions + "LEASEHOLD_0.2 { global: lh_later; } LEASEHOLD_0.1;\n"
    )
    (tmp_path / "later.c").write_text(
        'int lh_later(void) { return 0; }\nconst char *lh_version(void) { return "0.2.0"; }\n'
    )
    compiler, later = cached("CMAKE_C_COMPILER"), tmp_path / "libleasehold.so.0"
    staged.run(
        compiler,
        "-shared",
        "-fPIC",
        "-Wl,-soname,libleasehold.so.0",
        f"-Wl,--version-script={tmp_path}/map",
        tmp_path / "later.c",
        "-o",
        later,
    )
    for call, starts in (("lh_later()", False), ("!lh_version()", True)):
        source = (
            f"int lh_later(void); const char *lh_version(void); int main(void) {{ return {call}; }}"
        )
        staged.run(
            compiler, "-x", "c", "-", "-o", tmp_path / "program", "-x", "none", later, input=source
        )
        done = subprocess.run(
            [tmp_path / "program"], env=staged.env, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode == 0) == starts and ("LEASEHOLD_0.2" in done.stderr) != starts, done


def test_no_struct_or_call_is_missing_from_the_tables():
    """Of src/base/options.h, by which they are taken, and of tests/unit/sizes.c, which tries each
    with all sizes."""
    text = "".join(path.read_text() for path in HEADERS)
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    structs = dict(re.findall(r"^typedef struct (lh_\w+) \{\s*([^;]*);", code, re.M))
    given = {"lh_log_event"}  # by the library to a callback
    sized = {name for name, first in structs.items() if first == "size_t size"} - given
    assert {name for name in structs if name.endswith("_options")} <= sized
    tables = re.findall(
        r"^    X\((lh_\w+), (LH_\w+), ", (ROOT / "src/base/options.h").read_text(), re.M
    )
    assert sized == {name for name, _ in tables} | {"lh_error"} and all(
        macro == name.upper() for name, macro in tables
    )
    declarations = re.findall(r"^LH_API\b[^;]*;", code, re.M)
    named = {
        re.search(r"\b(lh_\w+)\s*\(", declaration)[1]: declaration for declaration in declarations
    }
    assert {f"{name}_init" for name in sized} <= set(named) and len(sized) == 18
    tried = dict(
        re.findall(r"^    X\((lh_\w+), (\w+), ?", (ROOT / "tests/unit/sizes.c").read_text(), re.M)
    )
    for name, declaration in named.items():
        options = re.search(r"const (lh_\w+_options) \*options,", declaration)
        assert not (options or "lh_error *error)" in declaration) or tried[name] == (
            options[1] if options else "void"
        ), name


def test_every_error_and_report_of_ours_is_initialised():
    """A call refuses them where they are not; but one inside of the library could lose its
    message."""
    forgotten = re.compile(
        r"^ +(?:lh_error|lh_observed|lh_metrics|lh_(?!stats)\w+_report) \w+(?: = \{0?\})?;", re.M
    )
    for path in (
        path for folder in ("src", "tools", "tests") for path in (ROOT / folder).rglob("*.[ch]*")
    ):
        if path.suffix in (".c", ".h", ".cpp", ".hpp"):
            text = re.sub(
                r"^(?:typedef |static )?(?:struct|union)\b[^;{]*\{.*?^\}",
                "",
                path.read_text(),
                flags=re.M | re.S,
            )
            assert not forgotten.findall(text), path
